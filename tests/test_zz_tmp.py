import json
def test_x(toy_cascade, toy_pair):
    for t in (toy_cascade, toy_pair):
        m = t.shipped.manifest
        print(m.operating_point, m.stage_points, m.parity)
        for r in t.shipped.rows: print(r)
        print([ (s["id"],s["outcome"],s["score"],s.get("first_score"),s.get("decided_by")) for s in json.loads((t.path/"golden/expected.json").read_text())])
        print((t.path/"MODEL_CARD.md").read_text()[:1500])
