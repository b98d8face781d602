{{- /*
  The name of an image whose values are given, as all containers of the chart have it. A digest is part of the tag:
  "29.5.2-dind@sha256:…".
*/}}
{{- define "binderhub-service.image" -}}
    {{- printf "%s:%s" .repository .tag | quote }}
{{- end }}
