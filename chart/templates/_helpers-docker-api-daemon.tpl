{{- /* The containers of the docker-api pod that are about the daemon. */}}
{{- define "binderhub-service.docker-api.image" -}}
image: {{ include "binderhub-service.image" .Values.dockerApi.image }}
{{- with .Values.dockerApi.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- /*
  dockerd replaces a socket that was left, but ends where a directory is in its place: such is made by whoever mounts
  the path while no daemon is there.
*/}}
{{- define "binderhub-service.docker-api.stale-socket" -}}
- name: remove-stale-socket
  {{- include "binderhub-service.docker-api.image" . | nindent 2 }}
  command: [rm, -rf, {{ include "binderhub-service.docker-api.socket" . | quote }}]
  volumeMounts:
    - name: socket
      mountPath: {{ include "binderhub-service.docker-api.socket-directory" . }}
  resources:
    {{- .Values.dockerApi.resources | toYaml | nindent 4 }}
  securityContext:
    {{- .Values.dockerApi.securityContext | toYaml | nindent 4 }}
{{- end }}

{{- define "binderhub-service.docker-api.daemon" -}}
{{- $dataRoot := include "binderhub-service.docker-api.data-root" . }}
{{- $host := printf "unix://%s" (include "binderhub-service.docker-api.socket" .) }}
{{- $asked := dict "exec" (dict "command" (list "docker" "--host" $host "version")) | toYaml -}}
- name: docker-api
  {{- include "binderhub-service.docker-api.image" . | nindent 2 }}
  # args, not command: the image's entry point prepares cgroups and iptables when its first argument is dockerd.
  args:
    - dockerd
    - --data-root={{ $dataRoot }}
    # No volume: a daemon that starts anew must not meet the process ids and sockets of the one before it.
    - --exec-root=/run/docker-api
    - --host={{ $host }}
    {{- with include "binderhub-service.docker-api.isolation" . }}
    - {{ . }}
    {{- end }}
    {{- with .Values.dockerApi.extraArgs }}
    {{- . | toYaml | nindent 4 }}
    {{- end }}
  {{- $env := include "binderhub-service.env" .Values.dockerApi.extraEnv }}
  {{- $memory := include "binderhub-service.docker-api.memory-limit" . }}
  {{- if or $env $memory }}
  env:
    {{- if $memory }}
    # In bytes, for the hook below.
    - name: STEPS_MEMORY
      valueFrom:
        resourceFieldRef:
          resource: limits.memory
    {{- end }}
    {{- with $env }}
    {{- tpl . $ | nindent 4 }}
    {{- end }}
  {{- end }}
  {{- with include "binderhub-service.docker-api.limits" . }}
  lifecycle:
    {{- . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: data
      mountPath: {{ $dataRoot }}
    - name: socket
      mountPath: {{ include "binderhub-service.docker-api.socket-directory" . }}
    {{- range $key, $file := include "binderhub-service.docker-api.files" . | fromJson }}
    - name: files
      mountPath: {{ $file.mountPath }}
      subPath: {{ $key | quote }}
    {{- end }}
    {{- with .Values.dockerApi.extraVolumeMounts }}
    {{- tpl (. | toYaml) $ | nindent 4 }}
    {{- end }}
  resources:
    {{- .Values.dockerApi.resources | toYaml | nindent 4 }}
  securityContext:
    {{- .Values.dockerApi.securityContext | toYaml | nindent 4 }}
  # A data root of many images is read for minutes.
  startupProbe:
    periodSeconds: 2
    timeoutSeconds: 10
    failureThreshold: 300
    {{- $asked | nindent 4 }}
  readinessProbe:
    periodSeconds: 5
    timeoutSeconds: 5
    {{- $asked | nindent 4 }}
  # A restart ends every build on the node, and a busy daemon is slow to answer: only one that was silent in each of ten
  # questions, for ten minutes, is taken for dead.
  livenessProbe:
    periodSeconds: 60
    timeoutSeconds: 55
    failureThreshold: 10
    {{- $asked | nindent 4 }}
{{- end }}
