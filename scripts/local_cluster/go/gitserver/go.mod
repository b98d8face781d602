module binderhub-service/lab/gitserver

go 1.26.0
