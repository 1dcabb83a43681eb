import time
def test_a(deployment):
    t=time.time()
    deployment.writer_dies()
    run = deployment.run({"mode": "failover", "started_by": "ada"})
    print(run.status, run.error, run.cause, run.visited, time.time()-t)
    print(deployment.record(), deployment.members(), deployment.messages("us-west-2"), deployment.databases.proofs)
    for e in run.events: print(e['type'])
    assert 0
def test_b(deployment):
    t=time.time()
    deployment.writer_dies()
    run = deployment.run({"mode": "failover", "started_by": "ada"})
    print(time.time()-t)
    assert 0
