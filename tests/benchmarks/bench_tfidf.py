"""What a final classifier of imdb-clas has to beat: TF-IDF with logistic regression, same split.

HPSEARCH_DATA=../shared/data python tests/benchmarks/bench_tfidf.py
"""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hpsearch.data import load_text

CASES = {
    "unigrams, C 1": ({}, 1.0),
    "1-2-grams, min_df 3, sublinear, C 10": (
        {"ngram_range": (1, 2), "min_df": 3, "sublinear_tf": True},
        10.0,
    ),
}


def main():
    table = load_text({"source": "imdb"}, path=None, progress=lambda *_: None).table
    parts = {name: table[table["split"] == name] for name in ("train", "test")}
    for name, (settings, c) in CASES.items():
        vectorizer = TfidfVectorizer(**settings)
        train = vectorizer.fit_transform(parts["train"]["text"])
        model = LogisticRegression(C=c, max_iter=1000).fit(train, parts["train"]["label"])
        test = vectorizer.transform(parts["test"]["text"])
        accuracy = (model.predict(test) == parts["test"]["label"].to_numpy()).mean()
        print(f"{name}: {accuracy:.4f} on {test.shape[0]:,} test reviews", flush=True)


if __name__ == "__main__":
    main()
