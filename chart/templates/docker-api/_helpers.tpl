{{- /*
  Paths on the nodes. No two releases share one: the hash is of "namespace/release", and neither name can contain a
  slash. A parent chart may have this chart twice, under an alias, which is then a part of the hash. It is short because the path of a Unix socket must fit in 107 bytes, and the two names can take 116.
*/}}
{{- define "binderhub-service.host-path.hash" -}}
    {{- $alias := include "binderhub-service.alias" . }}
    {{- printf "%s/%s%s" .Release.Namespace .Release.Name (ternary (printf "/%s" $alias) "" (ne $alias "")) | sha256sum | trunc 10 }}
{{- end }}

{{- /*
  The directory that build pods and the daemon share. It holds only the socket, because a build pod sees all of it.
  It is below /run, which is empty after a reboot, so that no socket outlives its daemon. /var/run is a symbolic link
  to /run on most hosts.
*/}}
{{- define "binderhub-service.docker-api.socket-directory" -}}
    /run/binderhub-service/{{ include "binderhub-service.host-path.hash" . }}
{{- end }}

{{- define "binderhub-service.docker-api.socket" -}}
    {{- include "binderhub-service.docker-api.socket-directory" . }}/docker-api.sock
{{- end }}

{{- /* Images, layers and build cache of the daemon. They outlive its pod. */}}
{{- define "binderhub-service.docker-api.data-root" -}}
    /var/lib/binderhub-service/{{ include "binderhub-service.host-path.hash" . }}/docker
{{- end }}

{{- /* Image and pull policy of a container that runs the daemon's image. */}}
{{- define "binderhub-service.docker-api.image" -}}
image: {{ include "binderhub-service.image" .Values.dockerApi.image }}
{{- with .Values.dockerApi.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- /* Pull secrets and scheduling, the same for the daemon and for clean-up.yaml. */}}
{{- define "binderhub-service.docker-api.scheduling" -}}
{{- with .Values.dockerApi.image.pullSecrets }}
imagePullSecrets:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with include "binderhub-service.docker-api.node-selector" . | fromYaml }}
nodeSelector:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.dockerApi.affinity | default .Values.builders.affinity }}
affinity:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.dockerApi.tolerations }}
tolerations:
  {{- . | toYaml | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Labels of the nodes that run a daemon: those of `builders`, and what dockerApi.nodeSelector adds. */}}
{{- define "binderhub-service.docker-api.node-selector" -}}
    {{- $labels := dict }}
    {{- with .Values.builders.architecture }}
        {{- $labels = dict "kubernetes.io/arch" . }}
    {{- end }}
    {{- range $nodeSelector := list .Values.builders.nodeSelector .Values.dockerApi.nodeSelector }}
        {{- $labels = mergeOverwrite $labels (include "binderhub-service.without-nulls" $nodeSelector | fromYaml) }}
    {{- end }}
    {{- $labels | toYaml }}
{{- end }}

{{- /* The size limit of an emptyDir for the daemon's data, in KiB: 0 if there is none, empty if its unit is unknown. */}}
{{- define "binderhub-service.docker-api.storage-limit" -}}
    {{- $size := dig "emptyDir" "sizeLimit" "" (.Values.dockerApi.storage | default dict) | toString }}
    {{- $bytes := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
    {{- $unit := regexFind "[A-Za-z]*$" $size }}
    {{- if not $size }}
        {{- 0 }}
    {{- else if hasKey $bytes $unit }}
        {{- divf (mulf (trimSuffix $unit $size | float64) (get $bytes $unit)) 1024 | int64 }}
    {{- end }}
{{- end }}

{{- /* The memory limit of the daemon's container as the values have it; empty if there is none. */}}
{{- define "binderhub-service.docker-api.memory-limit" -}}
    {{- (.Values.dockerApi.resources | default dict).limits | default dict | dig "memory" "" }}
{{- end }}

{{- /*
  The value of a dockerd option: from the last of dockerApi.extraArgs that sets it, else from daemon.json; empty if
  neither does. Takes a list: the root context and the option's name.
*/}}
{{- define "binderhub-service.docker-api.option" -}}
    {{- $root := first . }}
    {{- $option := last . }}
    {{- $file := include "binderhub-service.docker-api.daemon-json" $root | fromJson }}
    {{- $value := hasKey $file $option | ternary (get $file $option | toString) "" }}
    {{- $flag := printf "--%s" $option }}
    {{- $previous := "" }}
    {{- range $root.Values.dockerApi.extraArgs }}
        {{- if eq $previous $flag }}
            {{- $value = . }}
        {{- else if hasPrefix (printf "%s=" $flag) . }}
            {{- $value = trimPrefix (printf "%s=" $flag) . }}
        {{- end }}
        {{- $previous = . }}
    {{- end }}
    {{- $value }}
{{- end }}
