{{- /*
  Paths on the nodes. Two releases never share one: the hash is of "namespace/release", and neither of the two can hold
  a slash. It is short because a unix socket's path must fit in 107 bytes, where the names alone can take 116.
*/}}
{{- define "binderhub-service.host-path.hash" -}}
    {{- printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 10 }}
{{- end }}

{{- /*
  The directory that build pods and the daemon share. It holds the socket and nothing else, because a build pod sees all
  of it. Below /run, which is empty after a reboot, so that no socket outlives its daemon; and /run, not /var/run, since
  the latter is a symbolic link on most hosts.
*/}}
{{- define "binderhub-service.docker-api.socket-directory" -}}
    /run/binderhub-service/{{ include "binderhub-service.host-path.hash" . }}
{{- end }}

{{- define "binderhub-service.docker-api.socket" -}}
    {{- include "binderhub-service.docker-api.socket-directory" . }}/docker-api.sock
{{- end }}

{{- /* Images, layers and build cache of the daemon; they outlive its pod. */}}
{{- define "binderhub-service.docker-api.data-root" -}}
    /var/lib/binderhub-service/{{ include "binderhub-service.host-path.hash" . }}/docker
{{- end }}
