{{- /* Refuses what looks right but does nothing, or something else, with the mistake and what to write. */}}

{{- /* Traits have names like node_selector. Written like Kubernetes' own fields they are ignored without a word. */}}
{{- define "binderhub-service.guards.traits" -}}
    {{- $traits := dict
        "KubernetesBuildExecutor" (list "node_selector" "build_image" "docker_host" "extra_envs" "image_pull_secrets" "log_tail_lines" "memory_limit" "memory_request" "push_secret" "repo2docker_extra_args" "sticky_builds")
        "BinderHub" (list "auth_enabled" "base_url" "cors_allow_origin" "enable_api_only_mode" "hub_url" "image_prefix" "use_registry")
    }}
    {{- range $class, $names := $traits }}
        {{- $given := get $.Values.config $class | default dict }}
        {{- range $names }}
            {{- $mistaken := camelcase . | untitle }}
            {{- if not (kindIs "invalid" (dig $mistaken nil $given)) }}
                {{- printf "config.%s.%s is no setting of BinderHub's. Write config.%s.%s%s." $class $mistaken $class . (eq . "node_selector" | ternary ", or builders.nodeSelector, which the daemons follow too" "") | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* binderhub/builder.py: image names become `.replace("_", "-").lower()`, prefix and all. */}}
{{- define "binderhub-service.guards.image-prefix" -}}
    {{- $prefix := .Values.config.BinderHub.image_prefix | default "" | toString }}
    {{- $written := $prefix | replace "_" "-" | lower }}
    {{- if ne $prefix $written }}
        {{- printf "config.BinderHub.image_prefix is %s, which BinderHub changes to %s: names of images get lower case letters, and - for _. Set it to the latter, and see that the registry has that." $prefix $written | fail }}
    {{- end }}
{{- end }}

{{- /*
  Traits of BinderHub that have moved to KubernetesBuildExecutor, and override there what has the new name or came from
  other values. build_image is none of them here, since its new name has a default.
*/}}
{{- define "binderhub-service.guards.pairs" -}}
    {{- $executor := .Values.config.KubernetesBuildExecutor | default dict }}
    {{- $others := dict
        "build_docker_host" (dict "config.KubernetesBuildExecutor.docker_host" $executor.docker_host)
        "build_namespace" (dict
            "config.KubernetesBuildExecutor.namespace" $executor.namespace
            "buildPods.namespace" .Values.buildPods.namespace
        )
        "build_node_selector" (dict
            "config.KubernetesBuildExecutor.node_selector" $executor.node_selector
            "builders.nodeSelector" .Values.builders.nodeSelector
        )
        "log_tail_lines" (dict "config.KubernetesBuildExecutor.log_tail_lines" $executor.log_tail_lines)
        "sticky_builds" (dict "config.KubernetesBuildExecutor.sticky_builds" $executor.sticky_builds)
    }}
    {{- range $trait, $places := $others }}
        {{- if get $.Values.config.BinderHub $trait }}
            {{- range $place, $value := $places }}
                {{- if $value }}
                    {{- printf "%s and config.BinderHub.%s are both set. Leave config.BinderHub.%s out, which is an old name." $place $trait $trait | fail }}
                {{- end }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Keys of BinderHub's own chart: dotted path, and what to do here. */}}
{{- define "binderhub-service.guards.foreign-keys" -}}
imageBuilderType: Leave it out, since builds run in the docker daemons that dockerApi configures.
dind: Set dockerApi.image, dockerApi.extraArgs, dockerApi.resources and dockerApi.storage instead.
pink: Leave it out, since builds run in the docker daemons that dockerApi configures.
imageCleaner: Set dockerApi.cleaner instead.
cors: Set config.BinderHub.cors_allow_origin instead.
jupyterhub: Install JupyterHub by its own chart, and set hub.enabled to true.
deployment: Leave it out, since the probes are the chart's own, and podLabels are labels of the pod.
extraFiles: Mount them with extraVolumes and extraVolumeMounts.
extraPodSpec: Set podSecurityContext, affinity or tolerations instead.
initContainers: Leave it out, or set buildPods.initContainers for build pods.
rbac.enabled: Set rbac.create instead.
image.name: Set image.repository instead.
dockerApi.image.name: Set dockerApi.image.repository instead.
ingress.https: Set ingress.tls instead.
httpRoute.matches: Leave it out, since the path follows config.BinderHub.base_url.
registry.url: Put the registry's host into registry.server.
{{- end }}

{{- define "binderhub-service.guards.foreign" -}}
    {{- $values := .Values | toJson | fromJson }}
    {{- range $path, $advice := include "binderhub-service.guards.foreign-keys" . | fromYaml }}
        {{- $found := $values }}
        {{- range splitList "." $path }}
            {{- $found = kindIs "map" $found | ternary $found dict | dig . nil }}
        {{- end }}
        {{- if not (kindIs "invalid" $found) }}
            {{- printf "%s is a value of BinderHub's own chart, not of this one. %s" $path $advice | fail }}
        {{- end }}
    {{- end }}
{{- end }}
