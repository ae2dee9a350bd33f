"""Who may do what (P8): RS256 beside `openssl speed`, decisions of 10,000 rules, and tokens seen before. CPU time of one thread."""
import statistics

import authz

AT_MOST_US = 50


def measure(run):
    rounds = []
    for _ in range(run.options.rounds):
        rounds.append((authz.figures(), authz.openssl_us()))
        run.put("tokens", "service", 1, {what: row["us"] for what, row in rounds[-1][0].items()} | {"openssl": rounds[-1][1]})
    run.row("RS256 signatures verified a second", "openssl speed rsa2048, verify",
            [limit / figures[authz.SIGNATURE]["us"] for figures, limit in rounds], goal="P8", at_least=0.8)
    run.row("a token seen before: looked up", authz.FIRST,
            [figures[authz.FIRST]["us"] / figures[authz.AGAIN]["us"] for figures, _ in rounds], goal="P8",
            note=f"{rounds[-1][0][authz.AGAIN]['us']:.2f} us")
    for shape in authz.shapes(rounds[0][0]):
        beside = statistics.median(figures[shape]["us"] / figures[authz.LOOK_UP]["us"] for figures, _ in rounds)
        run.row(f"10,000 rules: {shape}", "-", [figures[shape]["us"] for figures, _ in rounds], goal="P8", at_most=AT_MOST_US, unit="us",
                note=f"x{beside:.1f} of {authz.LOOK_UP}")
