# What bench_slurm.sh and bench_ray.sh share: three nodes, a PostgreSQL server that they reach, and a
# study of 30 trials of seconds in a folder that they share. All of it goes when the script ends.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
nodes=$here/nodes.sh
place=$(mktemp -d /tmp/hpsearch-cluster-XXXXXX)
chmod 755 "$place"
export HOME=$place/home OMP_NUM_THREADS=1 PATH=$root/.venv/bin:$PATH
postgres=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
server=(-h 10.77.0.1 -p 5433 -U me)

as_postgres() { su postgres -c "$postgres/$*"; }

up() {
    mkdir -p "$HOME/hpsearch-env/bin" "$place/pg"
    "$nodes" up 3
    chown postgres "$place/pg"
    as_postgres initdb -D "$place/pg" -A trust -U me >/dev/null
    echo "host all all 10.77.0.0/24 trust" >>"$place/pg/pg_hba.conf"
    as_postgres pg_ctl -D "$place/pg" -l "$place/pg/log" -w start \
        -o "'-p 5433 -c listen_addresses=10.77.0.1 -c unix_socket_directories=$place/pg'" >/dev/null
    echo "PATH=$root/.venv/bin:\$PATH" >"$HOME/hpsearch-env/bin/activate"
    cd "$HOME"
    python - <<'PYTHON'
import random

random.seed(0)
rows = [(random.randint(1, 5), random.randint(18, 150), random.randint(1950, 2020)) for _ in range(400)]
lines = [f"{rooms},{area},{built},{area * 3 + rooms}" for rooms, area, built in rows]
open("flats.csv", "w").write("\n".join(["rooms,area,built,price", *lines]))
PYTHON
    hpsearch new flats.csv --target price >/dev/null
    sed -i 's/^epochs = .*/epochs = { low = 20, high = 40, default = 30 }/' flats.toml
}

down() {
    "$nodes" down || true
    as_postgres pg_ctl -D "$place/pg" -m immediate stop >/dev/null || true
    rm -rf "$place"
}

ask() { psql "${server[@]}" -qAt -d "$database" -c "$1" 2>/dev/null || true; }

# A new database NAME as HPSEARCH_STORAGE.
begin() {
    database=$1
    createdb "${server[@]}" "$database"
    export HPSEARCH_STORAGE=postgresql://me@10.77.0.1:5433/$database HPSEARCH_HOME=$HOME/cache-$1
}

wait_for_trials() {
    for _ in $(seq 300); do
        finished=$(ask "select count(*) from trials where state in ('COMPLETE', 'PRUNED')")
        [ "${finished:-0}" -ge "$1" ] && return
        sleep 1
    done
    say "$database has not come to $1 trials in five minutes" && exit 1
}

say() { echo "$(date +%T) $*"; }

tell() {
    say "$database: $(ask "select string_agg(state || ' ' || n, ', ') from
        (select state, count(*) n from trials group by state) as counted"), runs: $(ask \
        "select string_agg(coalesce(outcome, 'without an end'), ', ' order by run_id) from hps_run")"
    hpsearch doctor | grep -v "^ok" || true
}
