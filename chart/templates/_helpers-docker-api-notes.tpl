{{- /* What NOTES say where docker-api pods are not what the release now wants; nothing where they are, or nobody can tell. */}}
{{- define "binderhub-service.docker-api.to-be-rolled" -}}
{{- $name := include "binderhub-service.docker-api.fullname" . }}
{{- $namespace := include "binderhub-service.build-pods.namespace" . }}
{{- $live := lookup "apps/v1" "DaemonSet" $namespace $name }}
{{- if and $live (eq (.Values.dockerApi.updateStrategy | default dict).type "OnDelete") }}
    {{- $changed := ne (dig "metadata" "annotations" "checksum/pod" "" $live) (include "binderhub-service.docker-api.pod" . | sha256sum) }}
    {{- $status := $live.status | default dict }}
    {{- if or $changed (lt (int $status.updatedNumberScheduled) (int $status.desiredNumberScheduled)) -}}
The docker-api pods still run as they did before, because replacing one ends the builds on its node. Replace them, one
node at a time, as docs/how-to/roll-the-daemons.md says. Until then UP-TO-DATE is less than DESIRED here:

  kubectl --namespace {{ $namespace }} get daemonset {{ $name }}
        {{- $paths := list }}
        {{- range $live.spec.template.spec.volumes }}
            {{- $paths = append $paths (dig "hostPath" "path" "" .) }}
        {{- end }}
        {{- if not (has (include "binderhub-service.docker-api.socket-directory" .) $paths) }}

Until then new builds find no daemon either: the old pods have their sockets in another directory of the node.
        {{- end }}
    {{- end }}
{{- end }}
{{- end }}
