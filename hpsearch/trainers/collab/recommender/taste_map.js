// Draws the items by two components, names those rated most where there is room, and says the title
// of the item nearest to the pointer or the finger.
const { points, named, longest, labels } = JSON.parse(document.getElementById("points").textContent);
const svg = document.querySelector("svg");
const said = document.getElementById("said");
const EDGE = 28;

function put(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return svg.appendChild(made);
}

function scale(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

function draw() {
  const width = svg.clientWidth, height = Math.max(320, Math.min(width, innerHeight * 0.8));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren();
  const x = scale(points.map((p) => p[0]), EDGE, width - EDGE);
  const y = scale(points.map((p) => p[1]), height - EDGE, EDGE);
  const places = points.map(([a, b, title]) => [x(a), y(b), title]);
  places.forEach(([a, b], i) => put("circle", { cx: a, cy: b, r: i < named ? 3.5 : 2.5, class: i < named ? "named" : "" }));
  put("text", { x: width / 2, y: height - 6, "text-anchor": "middle", class: "axis" }, labels[0]);
  put("text", { x: -height / 2, y: 14, transform: "rotate(-90)", "text-anchor": "middle", class: "axis" }, labels[1]);
  const taken = [...svg.querySelectorAll(".axis")].map((text) => text.getBoundingClientRect());
  const frame = svg.getBoundingClientRect();
  for (const [a, b, title] of places.slice(0, named)) {
    const shown = title.length > longest ? `${title.slice(0, longest - 1)}…` : title;
    const text = put("text", { x: a + 5, y: b - 4 }, shown);
    let box = text.getBoundingClientRect();
    if (box.right > frame.right) {
      text.setAttribute("x", a - 5);
      text.setAttribute("text-anchor", "end");
      box = text.getBoundingClientRect();
    }
    const over = (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom;
    if (taken.some(over) || box.left < frame.left || box.top < frame.top) text.remove();
    else taken.push(box);
  }
  svg.onpointermove = svg.onpointerdown = (event) => {
    const from = svg.getBoundingClientRect();
    const far = ([a, b]) => Math.hypot(a - event.clientX + from.left, b - event.clientY + from.top);
    const nearest = places.reduce((best, place) => (far(place) < far(best) ? place : best));
    said.textContent = far(nearest) < 25 ? nearest[2] : said.dataset.hint;
  };
}
draw();
addEventListener("resize", draw);
