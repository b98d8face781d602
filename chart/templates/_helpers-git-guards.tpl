{{- /* Git credentials go to the hosts that they are for, and are never shown: refuses what would send them to others. */}}
{{- define "binderhub-service.git.guards" -}}
    {{- $keys := "protocol|host|path|username|password|password_expiry_utc|oauth_refresh_token|url|authtype|credential|ephemeral|continue|quit" }}
    {{- range $class, $traits := .Values.config }}
        {{- $given := get ($traits | default dict) "git_credentials" }}
        {{- if $given }}
            {{- /* As files/bhs_git_address.py has it. */}}
            {{- range splitList "\n" ($given | toString | replace "\\n" "\n") }}
                {{- if and . (not (regexMatch (printf "^(%s)=[^\\x00-\\x1f\\x7f]*$" $keys) .)) }}
                    {{- printf "config.%s.git_credentials is malformed. Write it as lines of git-credential, such as username=USER and password=TOKEN, with \\n between them." $class | fail }}
                {{- end }}
            {{- end }}
            {{- $general := has $class (list "RepoProvider" "GitRepoProvider" "ServiceGitRepoProvider") }}
            {{- if and $general (ne $.Values.buildPods.executor "upstream") (not $.Values.buildPods.gitCredentialHosts) }}
                {{- printf "config.%s.git_credentials is set, but not the hosts that it is for, and a visitor may name any host. Set buildPods.gitCredentialHosts to a list of them: [git.example.org]." $class | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}
