{{- /* The namespace of build pods and of what they use. */}}
{{- define "binderhub-service.build-pods.namespace" -}}
    {{- .Values.buildPods.namespace | default .Release.Namespace }}
{{- end }}

{{- /* The Secret with the Docker config that build pods push with. */}}
{{- define "binderhub-service.build-pods.push-secret" -}}
    {{- .Values.registry.existingSecret | default (include "binderhub-service.build-pods-docker-config.fullname" .) }}
{{- end }}

{{- /*
  The ConfigMap with the certificate authorities that build pods trust when they fetch a repository; empty if they trust
  those of their image.
*/}}
{{- define "binderhub-service.build-pods.certificate-authorities" -}}
    {{- if and (ne .Values.buildPods.executor "upstream") (include "binderhub-service.certificate-authorities" .) }}
        {{- include "binderhub-service.build-pods-authorities.fullname" . }}
    {{- end }}
{{- end }}

{{- /* certificateAuthorities, in PEM; empty if there are none. */}}
{{- define "binderhub-service.certificate-authorities" -}}
    {{- $certificates := list }}
    {{- range .Values.certificateAuthorities }}
        {{- $certificates = append $certificates (trim (. | default "")) }}
    {{- end }}
    {{- $certificates | compact | join "\n" }}
{{- end }}
