{{- /* What NOTES.txt tells depending on the values. */}}

{{- /* The values that expose BinderHub outside the cluster, as a JSON list. */}}
{{- define "binderhub-service.notes.exposures" -}}
    {{- $exposures := list }}
    {{- if .Values.ingress.enabled }}
        {{- $exposures = append $exposures "ingress.enabled" }}
    {{- end }}
    {{- if .Values.httpRoute.enabled }}
        {{- $exposures = append $exposures "httpRoute.enabled" }}
    {{- end }}
    {{- if ne .Values.service.type "ClusterIP" }}
        {{- $exposures = append $exposures (printf "service.type %s" .Values.service.type) }}
    {{- end }}
    {{- $exposures | toJson }}
{{- end }}

{{- /* Possible mistakes about who may build: sentences, as a JSON list. */}}
{{- define "binderhub-service.notes.access-warnings" -}}
    {{- $warnings := list }}
    {{- if and (include "binderhub-service.auth-enabled" .) (not .Values.hub.enabled) }}
        {{- $scoped := false }}
        {{- range include "binderhub-service.extra-env" . | fromYamlArray }}
            {{- $scoped = or $scoped (has .name (list "JUPYTERHUB_SERVICE_NAME" "JUPYTERHUB_OAUTH_ACCESS_SCOPES")) }}
        {{- end }}
        {{- if not $scoped }}
            {{- $warnings = append $warnings "config.BinderHub.auth_enabled is true, but BinderHub does not know its service's name, so any token of the JupyterHub will do. Set hub.enabled to true and hub.serviceName, and give those who may build the scope access:services!service=<name>." }}
        {{- end }}
    {{- end }}
    {{- $warnings | toJson }}
{{- end }}

{{- /* Possible mistakes about the registry: sentences, as a JSON list. */}}
{{- define "binderhub-service.notes.registry-warnings" -}}
    {{- $warnings := list }}
    {{- if include "binderhub-service.registry.pushes" . }}
        {{- $registry := include "binderhub-service.registry" . | fromJson }}
        {{- $config := .Values.buildPodsDockerConfig | default dict }}
        {{- $hasLogin := or .Values.registry.username .Values.registry.existingSecret .Values.buildPodsRegistryCredentials.username $config.auths $config.credHelpers $config.credsStore }}
        {{- if not $hasLogin }}
            {{- $warnings = append $warnings "This chart knows no login for pushes. Set registry.server, registry.username and registry.password, or registry.existingSecret." }}
        {{- end }}
        {{- if and .Values.registry.username (not (include "binderhub-service.registry.password" .)) }}
            {{- $warnings = append $warnings "registry.password is empty." }}
        {{- end }}
        {{- $prefix := .Values.config.BinderHub.image_prefix | default "" }}
        {{- $first := splitList "/" $prefix | first }}
        {{- /* As Docker reads an image name: the first part is a host if it looks like one, else the image is on Docker Hub. */}}
        {{- $host := ternary $first "docker.io" (and (contains "/" $prefix) (or (contains "." $first) (contains ":" $first) (eq $first "localhost"))) }}
        {{- $dockerHub := regexMatch "^((index|registry-1)\\.)?docker\\.io$" ($registry.host | default "") }}
        {{- /* Images of Docker Hub without an organization are its own. */}}
        {{- if and (eq $host "docker.io") (or $dockerHub (not $registry)) (not (contains "/" (trimPrefix "docker.io/" $prefix))) }}
            {{- $warnings = append $warnings (printf "config.BinderHub.image_prefix is %q, so images would be pushed to docker.io/library, where nobody may push. Set it to REGISTRY/ORGANIZATION/, such as quay.io/my-org/ or docker.io/my-org/." $prefix) }}
        {{- end }}
        {{- if and $registry (ne $host (ternary "docker.io" $registry.host $dockerHub)) }}
            {{- $warnings = append $warnings (printf "registry.server is %s, but config.BinderHub.image_prefix (%q) sends images to %s." $registry.host $prefix $host) }}
        {{- end }}
    {{- end }}
    {{- $warnings | toJson }}
{{- end }}

{{- /* What no network policy protects: sentences, as a JSON list. */}}
{{- define "binderhub-service.notes.unprotected" -}}
    {{- $warnings := list }}
    {{- if not .Values.networkPolicy.enabled }}
        {{- $warnings = append $warnings "The steps of a Dockerfile can reach everything that pods can reach: private addresses, the Kubernetes API, and the cloud metadata service. Set networkPolicy.enabled to true." }}
    {{- else }}
        {{- if not (or .Values.networkPolicy.binderhub.enabled (include "binderhub-service.auth-enabled" .)) }}
            {{- $warnings = append $warnings "Any pod in the cluster can request builds. Set networkPolicy.binderhub.enabled to true, or hub.enabled." }}
        {{- end }}
        {{- if not .Values.networkPolicy.binderhub.egressEnabled }}
            {{- $warnings = append $warnings "BinderHub connects to any host that a visitor names, including private addresses and the cloud metadata service. Set networkPolicy.binderhub.egressEnabled to true." }}
        {{- end }}
    {{- end }}
    {{- $warnings | toJson }}
{{- end }}

{{- /* Tells that docker-api pods still run an older pod template; empty if they do not, or without a cluster to ask. */}}
{{- define "binderhub-service.notes.outdated-daemons" -}}
{{- $name := include "binderhub-service.docker-api.fullname" . }}
{{- $namespace := include "binderhub-service.build-pods.namespace" . }}
{{- $live := lookup "apps/v1" "DaemonSet" $namespace $name }}
{{- if and $live (eq (.Values.dockerApi.updateStrategy | default dict).type "OnDelete") }}
    {{- $changed := ne (dig "metadata" "annotations" "checksum/pod" "" $live) (include "binderhub-service.docker-api.pod" . | sha256sum) }}
    {{- $status := $live.status | default dict }}
    {{- if or $changed (lt (int $status.updatedNumberScheduled) (int $status.desiredNumberScheduled)) -}}
The docker-api pods still run the previous version, because replacing one ends the builds on its node. Replace them, one
node at a time, as docs/how-to/roll-the-daemons.md says. Until then, UP-TO-DATE is less than DESIRED here:

  kubectl --namespace {{ $namespace }} get daemonset {{ $name }}
        {{- $paths := list }}
        {{- range $live.spec.template.spec.volumes }}
            {{- $paths = append $paths (dig "hostPath" "path" "" .) }}
        {{- end }}
        {{- if not (has (include "binderhub-service.docker-api.socket-directory" .) $paths) }}

Until then, new builds find no daemon either: the sockets of the old pods are in another directory of the node.
        {{- end }}
    {{- end }}
{{- end }}
{{- end }}
