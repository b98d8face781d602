{{- /*
  dockerApi.extraFiles as the `data` of a Secret: {key: base64}. An entry holds its content as `binaryData` (base64),
  `stringData` (text) or `data` (a mapping, written in the form that mountPath's ending names).
*/}}
{{- define "binderhub-service.extra-files.data" -}}
    {{- $data := dict }}
    {{- range $key, $file := . }}
        {{- if $file.binaryData }}
            {{- $_ := set $data $key ($file.binaryData | nospace) }}
        {{- else if $file.stringData }}
            {{- $_ := set $data $key ($file.stringData | b64enc) }}
        {{- else }}
            {{- $ending := ext $file.mountPath }}
            {{- if has $ending (list ".yaml" ".yml") }}
                {{- $_ := set $data $key ($file.data | toYaml | b64enc) }}
            {{- else if eq $ending ".json" }}
                {{- $_ := set $data $key ($file.data | toJson | b64enc) }}
            {{- else if eq $ending ".toml" }}
                {{- $_ := set $data $key ($file.data | toToml | b64enc) }}
            {{- else }}
                {{- printf "dockerApi.extraFiles.%s.data cannot be written to %s. Let mountPath end in .json, .toml, .yaml or .yml, or give the text as stringData." $key $file.mountPath | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- $data | toYaml }}
{{- end }}
