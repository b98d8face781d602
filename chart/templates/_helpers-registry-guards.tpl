{{- /* Refuses what contradicts itself, with the mistake and what to do. */}}
{{- define "binderhub-service.registry.guards" -}}
    {{- $registry := .Values.registry }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host | default "" }}
    {{- if not $registry.server }}
        {{- range $name := list "username" "existingSecret" "certificateAuthority" "insecure" "tokenHosts" }}
            {{- if get $registry $name }}
                {{- printf "registry.%s is set, but not the registry that it is for. Set registry.server to its host: docker.io, quay.io, registry.example.org:5000 …" $name | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- if contains "/" $host }}
        {{- printf "registry.server is %s, which is more than a host. Set it to %s, and give the rest in config.BinderHub.image_prefix." $registry.server (splitList "/" $host | first) | fail }}
    {{- end }}
    {{- if and (hasPrefix "http://" $registry.server) (not $registry.insecure) }}
        {{- printf "registry.server is %s, which speaks plain HTTP. Set registry.insecure to true as well, or leave out http://." $registry.server | fail }}
    {{- end }}
    {{- if and $registry.insecure $registry.certificateAuthority }}
        {{- fail "registry.insecure means plain HTTP, which has no certificate that registry.certificateAuthority could be for. Leave one of them out." }}
    {{- end }}
    {{- if and $registry.existingSecret $registry.username }}
        {{- fail "registry.existingSecret and registry.username are both set. Leave the one out that is not to be used." }}
    {{- end }}
    {{- if and $registry.existingSecret .Values.buildPodsDockerConfig }}
        {{- fail "registry.existingSecret and buildPodsDockerConfig are both the docker config of build pods. Put all of it into the Secret, and leave buildPodsDockerConfig out." }}
    {{- end }}
    {{- $login := or $registry.username $registry.existingSecret }}
    {{- if and $login .Values.buildPodsRegistryCredentials.username }}
        {{- fail "registry and buildPodsRegistryCredentials both have the login that build pods push with. Leave out buildPodsRegistryCredentials." }}
    {{- end }}
    {{- if and $registry.username (hasKey ((.Values.buildPodsDockerConfig | default dict).auths | default dict) (include "binderhub-service.registry" . | fromJson).authKey) }}
        {{- printf "buildPodsDockerConfig.auths has a login for %s, and registry.username is another. Leave one of them out." $host | fail }}
    {{- end }}
    {{- if $login }}
        {{- range $trait := list "url" "username" "password" "auth_config_url" "docker_config_path" }}
            {{- if get ($.Values.config.DockerRegistry | default dict) $trait }}
                {{- printf "config.DockerRegistry.%s and a login in registry are both set, and the chart makes the former of the latter. Leave out config.DockerRegistry.%s." $trait $trait | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- range $name, $file := .Values.dockerApi.extraFiles }}
        {{- if and $registry.certificateAuthority (eq $file.mountPath (printf "/etc/docker/certs.d/%s/ca.crt" $host)) }}
            {{- printf "registry.certificateAuthority and dockerApi.extraFiles.%s are both the authority of %s. Leave one of them out." $name $host | fail }}
        {{- end }}
    {{- end }}
    {{- if $registry.insecure }}
        {{- range $name, $file := .Values.dockerApi.extraFiles }}
            {{- if and (eq $file.mountPath "/etc/docker/daemon.json") (not $file.data) }}
                {{- printf "registry.insecure adds to daemon.json, which dockerApi.extraFiles.%s gives as text. Give it as data, a mapping." $name | fail }}
            {{- end }}
        {{- end }}
        {{- range .Values.dockerApi.extraArgs }}
            {{- if hasPrefix "--insecure-registry" . }}
                {{- fail "registry.insecure adds to daemon.json, and dockerd refuses to read the same from there and from --insecure-registry in dockerApi.extraArgs. Leave out the argument; other registries go into a daemon.json in dockerApi.extraFiles." }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* What may be wrong, but need not: a list of sentences, as JSON. */}}
{{- define "binderhub-service.registry.warnings" -}}
    {{- $said := list }}
    {{- if include "binderhub-service.registry.pushes" . }}
        {{- $registry := include "binderhub-service.registry" . | fromJson }}
        {{- $config := .Values.buildPodsDockerConfig | default dict }}
        {{- $visible := or .Values.registry.username .Values.registry.existingSecret .Values.buildPodsRegistryCredentials.username $config.auths $config.credHelpers $config.credsStore }}
        {{- if not $visible }}
            {{- $said = append $said "Images are pushed without a login that this chart knows of. Set registry.server, registry.username and registry.password, or registry.existingSecret." }}
        {{- end }}
        {{- if and .Values.registry.username (not (include "binderhub-service.registry.password" .)) }}
            {{- $said = append $said "registry.password is empty." }}
        {{- end }}
        {{- $prefix := .Values.config.BinderHub.image_prefix | default "" }}
        {{- $first := splitList "/" $prefix | first }}
        {{- /* As docker reads names: what comes first is a host if it looks like one, else all of it is on Docker Hub. */}}
        {{- $host := ternary $first "docker.io" (and (contains "/" $prefix) (or (contains "." $first) (contains ":" $first) (eq $first "localhost"))) }}
        {{- $hub := regexMatch "^((index|registry-1)\\.)?docker\\.io$" ($registry.host | default "") }}
        {{- if and $registry (ne $host (ternary "docker.io" $registry.host $hub)) }}
            {{- $said = append $said (printf "registry.server is %s, but config.BinderHub.image_prefix (%q) sends images to %s." $registry.host $prefix $host) }}
        {{- end }}
    {{- end }}
    {{- $said | toJson }}
{{- end }}
