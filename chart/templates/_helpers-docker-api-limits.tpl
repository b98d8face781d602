{{- /* What keeps the steps of Dockerfiles apart from each other, and within bounds. */}}

{{- /* The daemon.json of dockerApi.extraFiles, as JSON, however it is given; {} where there is none, or it is no JSON. */}}
{{- define "binderhub-service.docker-api.daemon-json" -}}
    {{- $found := dict }}
    {{- range .Values.dockerApi.extraFiles }}
        {{- if eq .mountPath "/etc/docker/daemon.json" }}
            {{- $found = .data | default (.stringData | default (.binaryData | default "" | nospace | b64dec) | fromJson) }}
        {{- end }}
    {{- end }}
    {{- $found | toJson }}
{{- end }}

{{- /*
  What dockerd is told by an option: the last of dockerApi.extraArgs that has it, else daemon.json; empty for neither.
  Takes a list: the root context and the option's name.
*/}}
{{- define "binderhub-service.docker-api.option" -}}
    {{- $root := index . 0 }}
    {{- $option := index . 1 }}
    {{- $file := include "binderhub-service.docker-api.daemon-json" $root | fromJson }}
    {{- $told := hasKey $file $option | ternary (get $file $option | toString) "" }}
    {{- $flag := printf "--%s" $option }}
    {{- $before := "" }}
    {{- range $root.Values.dockerApi.extraArgs }}
        {{- if eq $before $flag }}
            {{- $told = . }}
        {{- else if hasPrefix (printf "%s=" $flag) . }}
            {{- $told = trimPrefix (printf "%s=" $flag) . }}
        {{- end }}
        {{- $before = . }}
    {{- end }}
    {{- $told }}
{{- end }}

{{- /*
  The argument that keeps the steps of one build from the network ports of another's. dockerd does not start where
  daemon.json has `icc` too, or where it shall make no rules for iptables.
*/}}
{{- define "binderhub-service.docker-api.isolation" -}}
    {{- $file := include "binderhub-service.docker-api.daemon-json" . | fromJson }}
    {{- $rules := include "binderhub-service.docker-api.option" (list . "iptables") }}
    {{- if not (or (hasKey $file "icc") (eq $rules "false")) }}--icc=false{{ end }}
{{- end }}

{{- /* The memory limit of the daemon's container, as it is written; empty for none. */}}
{{- define "binderhub-service.docker-api.memory-limit" -}}
    {{- (.Values.dockerApi.resources | default dict).limits | default dict | dig "memory" "" }}
{{- end }}

{{- /* The hook that bounds the steps, files/docker-api-limits.sh; nothing where there is no bound. */}}
{{- define "binderhub-service.docker-api.limits" -}}
{{- $processes := .Values.dockerApi.maxProcesses | default 0 | int64 }}
{{- if or $processes (include "binderhub-service.docker-api.memory-limit" .) -}}
postStart:
  exec:
    command:
      - env
      - PROCESSES={{ $processes }}
      - PARENT={{ include "binderhub-service.docker-api.option" (list . "cgroup-parent") | default "docker" }}
      - CGROUPS=/sys/fs/cgroup
      - sh
      - -c
      - |
        {{- .Files.Get "files/docker-api-limits.sh" | trim | nindent 8 }}
{{- end }}
{{- end }}
