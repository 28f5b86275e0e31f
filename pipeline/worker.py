"""`python -m pipeline.worker`: the short name of pipeline/cluster/worker.py."""

from pipeline.cluster.worker import main

if __name__ == "__main__":
    main()
