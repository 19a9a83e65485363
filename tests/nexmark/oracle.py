"""What Nexmark's queries answer, computed by SQLite from the same files: oracle.py DIRECTORY > answers.jsonl

Each line is {"query": "q0", "rows": [[...], ...]}, the columns in the order of the query's stream or table.
The queries are the benchmark's, as it words them, but for what SQLite has no word for. Which of equal bids
counts, where the benchmark leaves that open, is what the scripts in dataflows/nexmark say.
"""

import json
import re
import sqlite3
import sys
from datetime import datetime, timezone

TABLES = {
    "person": "id, name, email_address, credit_card, city, state, date_time, extra",
    "auction": "id, item_name, description, initial_bid, reserve, expires, seller, category, date_time, extra",
    "bid": "auction, bidder, price, channel, url, date_time, extra",
    "side_input": "id, value, date_time",
}


def load(directory):
    db = sqlite3.connect(":memory:")
    for table, columns in TABLES.items():
        names = [name.strip() for name in columns.split(",")]
        db.execute(f"CREATE TABLE {table} ({columns})")
        with open(f"{directory}/{table}.json", encoding="utf-8") as lines:
            rows = (json.loads(line) for line in lines)
            marks = ", ".join("?" * len(names))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", ([row[n] for n in names] for row in rows))
    db.execute("CREATE INDEX of_auction ON auction (id)")
    db.execute("CREATE INDEX of_bid ON bid (auction)")
    functions = {
        "iso": (1, lambda ms: stamp(ms, "%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}"),
        "day": (1, lambda ms: stamp(ms, "%Y-%m-%d")),
        "minute": (1, lambda ms: stamp(ms, "%H:%M")),
        "hour": (1, lambda ms: int(stamp(ms, "%H"))),
        "channel_id": (1, lambda url: (re.search("(&|^)channel_id=([^&]*)", url) or [None] * 3)[2]),
        "part": (2, lambda url, n: url.split("/")[n]),
    }
    for name, (arguments, function) in functions.items():
        db.create_function(name, arguments, function, deterministic=True)
    return db


def stamp(ms, pattern):
    return datetime.fromtimestamp(ms // 1000, timezone.utc).strftime(pattern)


def ranks(columns):
    """A column for all bids, and one for each rank of price; {} stands for the condition."""
    conditions = ["1", "price < 10000", "price >= 10000 AND price < 1000000", "price >= 1000000"]
    return ", ".join(column.format(condition) for column in columns for condition in conditions)


COUNT = "COUNT(*) FILTER (WHERE {})"
DISTINCT = ["COUNT(DISTINCT bidder) FILTER (WHERE {})", "COUNT(DISTINCT auction) FILTER (WHERE {})"]

# Auctions with the bids that came while they were open, the best first.
OPEN = """
    SELECT A.*, B.bidder, B.price, B.date_time AS bid_date_time, B.extra AS bid_extra,
           ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC, B.date_time, B.bidder DESC, B.extra DESC) AS nth
    FROM auction A JOIN bid B ON A.id = B.auction
    WHERE B.date_time BETWEEN A.date_time AND A.expires"""

# Windows of ten seconds that begin every two seconds.
HOPS = """
    SELECT auction, start, COUNT(*) AS num
    FROM (SELECT auction, (date_time / 2000 - hop.value) * 2000 AS start
          FROM bid, (SELECT 0 AS value UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) hop)
    GROUP BY auction, start"""

QUERIES = {
    "q0": "SELECT auction, bidder, price, iso(date_time), extra FROM bid",
    "q1": "SELECT auction, bidder, 0.908 * price, iso(date_time), extra FROM bid",
    "q2": "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    "q3": """
        SELECT A.id, P.name, P.city, P.state FROM auction A JOIN person P ON A.seller = P.id
        WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')""",
    "q4": f"""
        SELECT category, 1.0 * SUM(final) / COUNT(*)
        FROM (SELECT id, category, MAX(price) AS final FROM ({OPEN}) GROUP BY id, category)
        GROUP BY category""",
    "q5": f"""
        SELECT H.auction, H.start, H.start + 10000, H.num
        FROM ({HOPS}) H JOIN (SELECT start, MAX(num) AS most FROM ({HOPS}) GROUP BY start) M ON H.start = M.start
        WHERE H.num >= M.most""",
    "q7": """
        SELECT 'all', start, start + 10000, price, auction, bidder, iso(date_time), extra
        FROM (SELECT *, date_time / 10000 * 10000 AS start, ROW_NUMBER() OVER
                  (PARTITION BY date_time / 10000 ORDER BY price DESC, auction DESC, bidder DESC, extra DESC) AS nth
              FROM bid)
        WHERE nth = 1""",
    "q8": """
        SELECT DISTINCT P.id, P.date_time / 10000 * 10000, P.date_time / 10000 * 10000 + 10000, P.name
        FROM person P JOIN auction A ON P.id = A.seller AND P.date_time / 10000 = A.date_time / 10000""",
    "q9": f"""
        SELECT id, item_name, description, initial_bid, reserve, iso(date_time), iso(expires), seller, category, extra,
               price, bidder, iso(bid_date_time), bid_extra
        FROM ({OPEN}) WHERE nth = 1""",
    "q10": "SELECT auction, bidder, price, iso(date_time), extra, day(date_time), minute(date_time) FROM bid",
    "q11": """
        SELECT bidder, MIN(date_time), MAX(date_time), COUNT(*)
        FROM (SELECT *, SUM(begins) OVER (PARTITION BY bidder ORDER BY date_time, rowid) AS session
              FROM (SELECT rowid, *, date_time - LAG(date_time, 1, -99999) OVER
                           (PARTITION BY bidder ORDER BY date_time, rowid) > 10000 AS begins FROM bid))
        GROUP BY bidder, session""",
    # By the time of arrival: how much is in which window is not for the files to say.
    "q12": "SELECT bidder, COUNT(*) FROM bid GROUP BY bidder",
    "q13": """
        SELECT S.id, B.auction, B.bidder, B.price, iso(B.date_time), S.value
        FROM bid B JOIN side_input S ON B.auction % 10000 = S.id""",
    "q14": """
        SELECT auction, bidder, 0.908 * price,
               CASE WHEN hour(date_time) BETWEEN 8 AND 18 THEN 'dayTime'
                    WHEN hour(date_time) <= 6 OR hour(date_time) >= 20 THEN 'nightTime' ELSE 'otherTime' END,
               iso(date_time), extra, LENGTH(extra) - LENGTH(REPLACE(extra, 'c', ''))
        FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000""",
    "q15": f"SELECT day(date_time), {ranks([COUNT, *DISTINCT])} FROM bid GROUP BY 1",
    "q16": f"""
        SELECT channel, day(date_time), MAX(minute(date_time)), {ranks([COUNT, *DISTINCT])} FROM bid GROUP BY 1, 2""",
    "q17": f"""
        SELECT auction, day(date_time), {ranks([COUNT])}, MIN(price), MAX(price), 1.0 * SUM(price) / COUNT(*),
               SUM(price)
        FROM bid GROUP BY 1, 2""",
    "q18": """
        SELECT bidder, auction, price, channel, url, iso(date_time), extra
        FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, rowid DESC) AS nth
              FROM bid)
        WHERE nth = 1""",
    "q19": """
        SELECT auction, json_group_array(json_object('sort_col', price, 'col0', bidder, 'col1', channel, 'col2', url,
                                                     'col3', iso(date_time), 'col4', extra))
        FROM (SELECT *, ROW_NUMBER() OVER
                  (PARTITION BY auction ORDER BY price DESC, bidder DESC, channel DESC, url DESC, extra DESC) AS nth
              FROM bid ORDER BY auction, nth)
        WHERE nth <= 10 GROUP BY auction""",
    "q20": """
        SELECT B.auction, B.bidder, B.price, B.channel, B.url, iso(B.date_time), B.extra, A.item_name, A.description,
               A.initial_bid, A.reserve, iso(A.date_time), iso(A.expires), A.seller, A.category, A.extra
        FROM bid B JOIN auction A ON B.auction = A.id WHERE A.category = 10""",
    "q21": """
        SELECT auction, bidder, price, channel,
               CASE LOWER(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2'
                                   WHEN 'baidu' THEN '3' ELSE channel_id(url) END
        FROM bid
        WHERE channel_id(url) IS NOT NULL OR LOWER(channel) IN ('apple', 'google', 'facebook', 'baidu')""",
    "q22": "SELECT auction, bidder, price, channel, part(url, 3), part(url, 4), part(url, 5) FROM bid",
}

# Columns that SQLite gives as JSON in text.
NESTED = {"q19"}


def main():
    db = load(sys.argv[1])
    for query, sql in QUERIES.items():
        rows = [list(row) for row in db.execute(sql)]
        if query in NESTED:
            for row in rows:
                row[-1] = json.loads(row[-1])
        print(json.dumps({"query": query, "rows": rows}))


main()
