{{- /*
  Refuses values that contradict each other, that belong to another chart, or that would have no effect. Every `fail`
  of the chart is here, and each message says what is wrong and what to write. validate-values.yaml calls it. Helm
  renders that template after those in folders, which therefore must not break on values that are refused here.
*/}}
{{- define "binderhub-service.validate-values" -}}
    {{- include "binderhub-service.validate-values.registry" . }}
    {{- include "binderhub-service.validate-values.docker-api" . }}
    {{- include "binderhub-service.validate-values.build-pods-registry-credentials" . }}
    {{- include "binderhub-service.validate-values.executor-traits" . }}
    {{- include "binderhub-service.validate-values.pod-disruption-budget" . }}
    {{- include "binderhub-service.validate-values.network-policy" . }}
    {{- include "binderhub-service.validate-values.other-charts-keys" . }}
    {{- include "binderhub-service.validate-values.trait-names" . }}
    {{- include "binderhub-service.validate-values.image-prefix" . }}
    {{- include "binderhub-service.validate-values.use-registry" . }}
    {{- include "binderhub-service.validate-values.docker-host" . }}
    {{- include "binderhub-service.validate-values.daemon-json" . }}
    {{- include "binderhub-service.validate-values.renamed-traits" . }}
    {{- include "binderhub-service.validate-values.hub" . }}
    {{- include "binderhub-service.validate-values.access" . }}
    {{- include "binderhub-service.validate-values.git-credentials" . }}
    {{- include "binderhub-service.validate-values.http-route" . }}
    {{- include "binderhub-service.validate-values.admission-policy" . }}
    {{- include "binderhub-service.validate-values.outbound-proxy" . }}
    {{- include "binderhub-service.validate-values.check-image" . }}
{{- end }}

{{- define "binderhub-service.validate-values.registry" -}}
    {{- $registry := .Values.registry }}
    {{- $host := (include "binderhub-service.registry" . | fromJson).host | default "" }}
    {{- if not $registry.server }}
        {{- range $name := list "username" "existingSecret" "certificateAuthority" "insecure" "tokenHosts" }}
            {{- if get $registry $name }}
                {{- printf "registry.%s is set, but not the registry that it is for. Set registry.server to its host: docker.io, quay.io, registry.example.org:5000 …" $name | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- if contains "/" $host }}
        {{- printf "registry.server is %s, which is more than a host. Set it to %s, and give the rest in config.BinderHub.image_prefix." $registry.server (splitList "/" $host | first) | fail }}
    {{- end }}
    {{- if and (hasPrefix "http://" $registry.server) (not $registry.insecure) }}
        {{- printf "registry.server is %s, which speaks plain HTTP. Set registry.insecure to true as well, or leave out http://." $registry.server | fail }}
    {{- end }}
    {{- if and $registry.insecure $registry.certificateAuthority }}
        {{- fail "registry.insecure means plain HTTP, which has no certificate that registry.certificateAuthority could be for. Leave one of them out." }}
    {{- end }}
    {{- if and $registry.existingSecret $registry.username }}
        {{- fail "registry.existingSecret and registry.username are both set. Leave one of them out." }}
    {{- end }}
    {{- if and $registry.existingSecret .Values.buildPodsDockerConfig }}
        {{- fail "registry.existingSecret and buildPodsDockerConfig both set the docker config of build pods. Put everything into the Secret, and leave buildPodsDockerConfig out." }}
    {{- end }}
    {{- $login := or $registry.username $registry.existingSecret }}
    {{- if and $login .Values.buildPodsRegistryCredentials.username }}
        {{- fail "registry and buildPodsRegistryCredentials both set the login for pushes. Leave out buildPodsRegistryCredentials." }}
    {{- end }}
    {{- if and $registry.username (hasKey ((.Values.buildPodsDockerConfig | default dict).auths | default dict) (include "binderhub-service.registry" . | fromJson).authKey) }}
        {{- printf "buildPodsDockerConfig.auths has a login for %s, and registry.username sets another. Leave one of them out." $host | fail }}
    {{- end }}
    {{- if $login }}
        {{- range $trait := list "url" "username" "password" "auth_config_url" "docker_config_path" }}
            {{- if get ($.Values.config.DockerRegistry | default dict) $trait }}
                {{- printf "config.DockerRegistry.%s and a login in registry are both set. The chart derives the former from the latter. Leave out config.DockerRegistry.%s." $trait $trait | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
    {{- range $name, $file := .Values.dockerApi.extraFiles }}
        {{- if and $registry.certificateAuthority (eq $file.mountPath (printf "/etc/docker/certs.d/%s/ca.crt" $host)) }}
            {{- printf "registry.certificateAuthority and dockerApi.extraFiles.%s both set the certificate authority of %s. Leave one of them out." $name $host | fail }}
        {{- end }}
    {{- end }}
    {{- if $registry.insecure }}
        {{- range $name, $file := .Values.dockerApi.extraFiles }}
            {{- if and (eq $file.mountPath "/etc/docker/daemon.json") (not $file.data) }}
                {{- printf "registry.insecure adds to daemon.json, which dockerApi.extraFiles.%s gives as text. Give it as data, a mapping." $name | fail }}
            {{- end }}
        {{- end }}
        {{- range .Values.dockerApi.extraArgs }}
            {{- if hasPrefix "--insecure-registry" . }}
                {{- fail "registry.insecure adds to daemon.json, and dockerd refuses to read the same from there and from --insecure-registry in dockerApi.extraArgs. Leave out the argument; other registries go into a daemon.json in dockerApi.extraFiles." }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.docker-api" -}}
    {{- $cleaner := .Values.dockerApi.cleaner }}
    {{- if $cleaner.enabled }}
        {{- $key := include "binderhub-service.docker-api.daemon-json-key" . }}
        {{- if and $key (not (hasKey (get .Values.dockerApi.extraFiles $key) "data")) }}
            {{- printf "dockerApi.cleaner adds to daemon.json, which dockerApi.extraFiles.%s gives as text. Give it as data, a mapping." $key | fail }}
        {{- end }}
        {{- if not (include "binderhub-service.docker-api.storage-limit" .) }}
            {{- printf "dockerApi.cleaner cannot read dockerApi.storage.emptyDir.sizeLimit, %s. Write it as a number with Gi." .Values.dockerApi.storage.emptyDir.sizeLimit | fail }}
        {{- end }}
    {{- end }}
    {{- range $key, $file := .Values.dockerApi.extraFiles }}
        {{- if not (hasKey (include "binderhub-service.docker-api.files-data" (dict $key $file) | fromYaml) $key) }}
            {{- printf "dockerApi.extraFiles.%s.data cannot be written to %s. Use a mountPath with the extension .json, .toml, .yaml or .yml, or give the text as stringData." $key $file.mountPath | fail }}
        {{- end }}
    {{- end }}
    {{- if $cleaner.enabled }}
        {{- if le (int $cleaner.highPercent) (int $cleaner.lowPercent) }}
            {{- printf "dockerApi.cleaner.lowPercent is %d, and cleaning begins at highPercent, %d. Set lowPercent lower." (int $cleaner.lowPercent) (int $cleaner.highPercent) | fail }}
        {{- end }}
        {{- if ne .Values.buildPods.executor "service" }}
            {{- fail "dockerApi.cleaner cannot see builds of buildPods.executor: upstream, and would remove their images. Leave one of the two out." }}
        {{- end }}
    {{- end }}
    {{- /* `helm template` looks nothing up. A command that installs finds this namespace, which every cluster has. */}}
    {{- if and .Values.dockerApi.cleanUp (lookup "v1" "Namespace" "" "kube-system") }}
        {{- fail "dockerApi.cleanUp is for `helm template`, after the release was uninstalled: it removes the data of the daemons. Leave it out, and follow docs/how-to/uninstall." }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.build-pods-registry-credentials" -}}
    {{- $registry := .Values.buildPodsRegistryCredentials }}
    {{- if and $registry.username (not $registry.server) (include "binderhub-service.registry.pushes" .) }}
        {{- fail "buildPodsRegistryCredentials.username is set without a server. Set buildPodsRegistryCredentials.server to the registry's address, https://index.docker.io/v1/ for Docker Hub." }}
    {{- end }}
{{- end }}

{{- /* A value of this chart and a trait of KubernetesBuildExecutor must not set the same thing. */}}
{{- define "binderhub-service.validate-values.executor-traits" -}}
    {{- $executor := .Values.config.KubernetesBuildExecutor | default dict }}
    {{- range $trait, $place := dict "node_selector" "nodeSelector" "affinity" "affinity" }}
        {{- if and (get $executor $trait) (get $.Values.builders $place) }}
            {{- printf "builders.%s and config.KubernetesBuildExecutor.%s are both set. Leave one of them out." $place $trait | fail }}
        {{- end }}
    {{- end }}
    {{- /* What has a default may be overridden by the trait. A deadlineSeconds of 3600 is the default. */}}
    {{- $defaulted := list "annotations" "checkImage" "maxWaitingPerRequester" "repositorySizeLimit" "silenceTimeoutSeconds" "startTimeoutSeconds" "tolerations" }}
    {{- if eq (int .Values.buildPods.deadlineSeconds) 3600 }}
        {{- $defaulted = append $defaulted "deadlineSeconds" }}
    {{- end }}
    {{- range $name, $value := omit .Values.buildPods "executor" }}
        {{- if and $value (not (has $name $defaulted)) (get $executor (snakecase $name)) }}
            {{- printf "buildPods.%s and config.KubernetesBuildExecutor.%s are both set. Leave one of them out." $name (snakecase $name) | fail }}
        {{- end }}
    {{- end }}
    {{- if and .Values.builders.affinity .Values.dockerApi.affinity }}
        {{- fail "builders.affinity and dockerApi.affinity are both set. Leave one of them out." }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.pod-disruption-budget" -}}
    {{- $pdb := .Values.pdb }}
    {{- if and $pdb.enabled (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "invalid" $pdb.maxUnavailable)) }}
        {{- fail "pdb.minAvailable and pdb.maxUnavailable are both set, and Kubernetes takes one of them. Leave one of them out." }}
    {{- end }}
{{- end }}

{{- /* Network policies that would not exist, or would cut off what another value exposes. */}}
{{- define "binderhub-service.validate-values.network-policy" -}}
    {{- $own := .Values.networkPolicy.binderhub }}
    {{- if and $own.enabled (not .Values.networkPolicy.enabled) }}
        {{- fail "networkPolicy.binderhub.enabled is true and networkPolicy.enabled is false, which makes no policies at all. Set both to true, or both to false." }}
    {{- end }}
    {{- if and $own.enabled (not $own.ingress) (not $own.allowedIngressPorts) }}
        {{- $outside := ternary "the controller of the Ingress" "" .Values.ingress.enabled }}
        {{- with $outside | default (ternary "the Gateway of the HTTPRoute" "" .Values.httpRoute.enabled) }}
            {{- printf "networkPolicy.binderhub.enabled would keep %s from BinderHub. Let its pods in with a rule in networkPolicy.binderhub.ingress, or anybody with networkPolicy.binderhub.allowedIngressPorts: [http]." . | fail }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Keys of BinderHub's own chart: their path, and what to do instead. */}}
{{- define "binderhub-service.validate-values.other-charts-keys.advice" -}}
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

{{- define "binderhub-service.validate-values.other-charts-keys" -}}
    {{- $values := .Values | toJson | fromJson }}
    {{- range $path, $advice := include "binderhub-service.validate-values.other-charts-keys.advice" . | fromYaml }}
        {{- $found := $values }}
        {{- range splitList "." $path }}
            {{- $found = kindIs "map" $found | ternary $found dict | dig . nil }}
        {{- end }}
        {{- if not (kindIs "invalid" $found) }}
            {{- printf "%s is a value of BinderHub's own chart, not of this one. %s" $path $advice | fail }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Traits have names like node_selector. traitlets ignores one in the style of Kubernetes' own fields. */}}
{{- define "binderhub-service.validate-values.trait-names" -}}
    {{- $traits := dict
        "KubernetesBuildExecutor" (list "node_selector" "build_image" "docker_host" "extra_envs" "image_pull_secrets" "log_tail_lines" "memory_limit" "memory_request" "push_secret" "repo2docker_extra_args" "sticky_builds")
        "BinderHub" (list "auth_enabled" "base_url" "cors_allow_origin" "enable_api_only_mode" "hub_url" "image_prefix" "use_registry")
    }}
    {{- range $class, $names := $traits }}
        {{- $given := get $.Values.config $class | default dict }}
        {{- range $names }}
            {{- $mistaken := camelcase . | untitle }}
            {{- if not (kindIs "invalid" (dig $mistaken nil $given)) }}
                {{- printf "config.%s.%s is not a setting of BinderHub. Write config.%s.%s%s." $class $mistaken $class . (eq . "node_selector" | ternary ", or builders.nodeSelector, which the daemons follow too" "") | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Without a registry, BinderHub (builder.py) asks the daemon of its own pod for images. */}}
{{- define "binderhub-service.validate-values.use-registry" -}}
    {{- $own := false }}
    {{- range include "binderhub-service.extra-env" . | fromYamlArray }}
        {{- $own = or $own (eq .name "DOCKER_HOST") }}
    {{- end }}
    {{- range .Values.extraVolumeMounts }}
        {{- $own = or $own (regexMatch "^(/var)?/run(/docker.sock)?/?$" (toString .mountPath)) }}
    {{- end }}
    {{- if not (or (include "binderhub-service.registry.pushes" .) $own) }}
        {{- fail "config.BinderHub.use_registry is false. BinderHub then asks a Docker daemon in its own pod whether an image exists, and there is none, so that every request fails. Set config.BinderHub.use_registry to true, or give BinderHub a daemon with DOCKER_HOST in extraEnv." }}
    {{- end }}
{{- end }}

{{- /* The executor mounts the socket's directory from the node. */}}
{{- define "binderhub-service.validate-values.docker-host" -}}
    {{- $places := dict
        "config.KubernetesBuildExecutor.docker_host" (.Values.config.KubernetesBuildExecutor | default dict).docker_host
        "config.ServiceBuildExecutor.docker_host" (.Values.config.ServiceBuildExecutor | default dict).docker_host
        "config.BinderHub.build_docker_host" .Values.config.BinderHub.build_docker_host
    }}
    {{- range $place, $value := $places }}
        {{- if and (eq $.Values.buildPods.executor "service") (not (kindIs "invalid" $value)) (not (regexMatch "^unix:///.+" (toString $value))) }}
            {{- printf "%s is %q, which is not a Unix socket of the node. Write unix:///PATH, or leave it out to use the docker-api pods." $place $value | fail }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* dockerd does not start if an option is both in daemon.json and among its arguments. */}}
{{- define "binderhub-service.validate-values.daemon-json" -}}
    {{- $options := include "binderhub-service.docker-api.daemon-json" . | fromJson }}
    {{- $name := include "binderhub-service.docker-api.daemon-json-key" . }}
    {{- /* What fromJson returns for a text that is not JSON. */}}
    {{- if and (hasKey $options "Error") (eq (len $options) 1) }}
        {{- printf "dockerApi.extraFiles.%s is not JSON, and dockerd would not start: %s. Correct it, or give it as data." $name $options.Error | fail }}
    {{- end }}
    {{- range $key, $advice := dict
        "data-root" "Set dockerApi.storage to choose where images are kept."
        "exec-root" "Leave it out."
        "hosts" "Build pods reach the daemon by its socket alone. Leave it out."
        "graph" "Set dockerApi.storage to choose where images are kept."
    }}
        {{- if hasKey $options $key }}
            {{- printf "dockerApi.extraFiles.%s sets %s, which the chart gives dockerd as an argument, and dockerd refuses to start with both. %s" $name $key $advice | fail }}
        {{- end }}
    {{- end }}
    {{- /* Names of which the option in daemon.json is another word. */}}
    {{- $names := dict "-D" "debug" "-G" "group" "-b" "bridge" "-l" "log-level" "-p" "pidfile" "-s" "storage-driver" "--add-runtime" "runtimes" }}
    {{- range .Values.dockerApi.extraArgs }}
        {{- $given := toString . | splitList "=" | first }}
        {{- if eq $given "--config-file" }}
            {{- fail "dockerApi.extraArgs has --config-file, and the chart's own options are in /etc/docker/daemon.json. Leave it out, and give that file with dockerApi.extraFiles." }}
        {{- end }}
        {{- $argument := get $names $given | default (trimPrefix "--" $given) }}
        {{- range $key := list $argument (printf "%ss" $argument) (regexReplaceAll "y$" $argument "ies") }}
            {{- if hasKey $options $key }}
                {{- printf "dockerApi.extraArgs has %s, and dockerApi.extraFiles.%s sets %s. dockerd refuses to start with both. Leave one of them out." $given $name $key | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* BinderHub (builder.py) changes the names of images, prefix included, with `.replace("_", "-").lower()`. */}}
{{- define "binderhub-service.validate-values.image-prefix" -}}
    {{- $prefix := .Values.config.BinderHub.image_prefix | default "" | toString }}
    {{- $changed := $prefix | replace "_" "-" | lower }}
    {{- if ne $prefix $changed }}
        {{- printf "config.BinderHub.image_prefix is %s, which BinderHub changes to %s: it makes image names lower case, and replaces _ with -. Set it to the latter, and check that the registry has that." $prefix $changed | fail }}
    {{- end }}
{{- end }}

{{- /*
  Traits that have moved from BinderHub to KubernetesBuildExecutor. The old name overrides the new one, and the values
  that set it. build_image is not among them, because its new name has a default.
*/}}
{{- define "binderhub-service.validate-values.renamed-traits" -}}
    {{- $executor := .Values.config.KubernetesBuildExecutor | default dict }}
    {{- $newPlaces := dict
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
    {{- range $trait, $places := $newPlaces }}
        {{- if get $.Values.config.BinderHub $trait }}
            {{- range $place, $value := $places }}
                {{- if $value }}
                    {{- printf "%s and config.BinderHub.%s are both set. Leave config.BinderHub.%s out, which is an old name." $place $trait $trait | fail }}
                {{- end }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.hub" -}}
    {{- $binderhub := .Values.config.BinderHub }}
    {{- if .Values.hub.enabled }}
        {{- if eq (toString $binderhub.auth_enabled) "false" }}
            {{- fail "hub.enabled is true, but config.BinderHub.auth_enabled is false, so BinderHub would not ask the hub. Leave config.BinderHub.auth_enabled out, or set hub.enabled to false." }}
        {{- end }}
        {{- $own := $binderhub.base_url | default "/" | trimSuffix "/" }}
        {{- if and .Values.hub.servicePrefix $own (ne $own (trimSuffix "/" .Values.hub.servicePrefix)) }}
            {{- printf "config.BinderHub.base_url is %s, and hub.servicePrefix is %s. Leave one of them out: the other follows." $binderhub.base_url .Values.hub.servicePrefix | fail }}
        {{- end }}
        {{- $fromHub := include "binderhub-service.hub.env" . | fromYamlArray }}
        {{- $fromExtraEnv := include "binderhub-service.extra-env" . | fromYamlArray }}
        {{- range $fromHub }}
            {{- $name := .name }}
            {{- range $fromExtraEnv }}
                {{- if eq $name (toString .name) }}
                    {{- printf "extraEnv sets %s, which hub.enabled sets too. Leave it out of extraEnv, and set what differs in hub." $name | fail }}
                {{- end }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /*
  Who may build has to be decided. JupyterHub's proxy can publish the service without an Ingress, so this holds for a
  release that exposes nothing, too.
*/}}
{{- define "binderhub-service.validate-values.access" -}}
    {{- $exposures := include "binderhub-service.notes.exposures" . | fromJsonArray }}
    {{- $policy := .Values.networkPolicy.binderhub }}
    {{- $openToAll := false }}
    {{- range $policy.allowedIngressPorts }}
        {{- $openToAll = or $openToAll (has (toString . | trim) (list "http" (toString $.Values.config.BinderHub.port))) }}
    {{- end }}
    {{- range $policy.ingress }}
        {{- /* A rule without `from` lets everybody in, and so does a block of all addresses. */}}
        {{- $peers := (. | default dict).from }}
        {{- $openToAll = or $openToAll (not $peers) }}
        {{- range $peers }}
            {{- $openToAll = or $openToAll (hasSuffix "/0" (dig "ipBlock" "cidr" "" .)) }}
        {{- end }}
    {{- end }}
    {{- $restricted := and .Values.networkPolicy.enabled $policy.enabled (not $openToAll) }}
    {{- if not (or (include "binderhub-service.auth-enabled" .) .Values.allowAnonymous) }}
        {{- if $exposures }}
            {{- printf "BinderHub can be reached from outside the cluster, by %s, and requires no login. Set hub.enabled to true to let only users of your JupyterHub build, or allowAnonymous to true if anybody may build." (join " and " $exposures) | fail }}
        {{- else if not $restricted }}
            {{- fail "No value says who may build. Set hub.enabled to true to let only users of your JupyterHub build, networkPolicy.binderhub.enabled to true to let only JupyterHub's proxy and hub and labelled pods connect (whoever they let through may build), or allowAnonymous to true to let anybody build who can reach BinderHub." }}
        {{- end }}
    {{- end }}
{{- end }}

{{- /* Git credentials reach only the hosts that they are for. No message shows them. */}}
{{- define "binderhub-service.validate-values.git-credentials" -}}
    {{- $keyWords := "protocol|host|path|username|password|password_expiry_utc|oauth_refresh_token|url|authtype|credential|ephemeral|continue|quit" }}
    {{- range $class, $traits := .Values.config }}
        {{- $given := get ($traits | default dict) "git_credentials" }}
        {{- if $given }}
            {{- /* As files/binderhub_service/repo_providers/git_address.py has it. */}}
            {{- $lines := $given | toString | replace "\\n" "\n" | splitList "\n" | compact }}
            {{- $keys := list }}
            {{- range $lines }}
                {{- if regexMatch (printf "^(%s)=[^\\x00-\\x1f\\x7f]+$" $keyWords) . }}
                    {{- $keys = append $keys (splitList "=" . | first) }}
                {{- end }}
            {{- end }}
            {{- $whole := or (and (has "username" $keys) (has "password" $keys)) (and (has "authtype" $keys) (has "credential" $keys)) }}
            {{- if not (and $whole (eq (len $keys) (len $lines))) }}
                {{- printf "config.%s.git_credentials is malformed. Write it as lines of git-credential, such as username=USER and password=TOKEN, with \\n between them." $class | fail }}
            {{- end }}
            {{- $general := has $class (list "RepoProvider" "GitRepoProvider" "ServiceGitRepoProvider") }}
            {{- if and $general (ne $.Values.buildPods.executor "upstream") (not $.Values.buildPods.gitCredentialHosts) }}
                {{- printf "config.%s.git_credentials is set, but not the hosts that it is for, and a visitor may name any host. Set buildPods.gitCredentialHosts to a list of them: [git.example.org]." $class | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.http-route" -}}
    {{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
        {{- fail "httpRoute.enabled is true, but httpRoute.parentRefs names no Gateway. Set it to a list such as [{name: …, namespace: …}]." }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.admission-policy" -}}
    {{- if .Values.admissionPolicy.enabled }}
        {{- if semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version }}
            {{- printf "admissionPolicy.enabled is true, but ValidatingAdmissionPolicy came with Kubernetes 1.30, and this is %s. Set admissionPolicy.enabled to false, or upgrade Kubernetes." .Capabilities.KubeVersion.Version | fail }}
        {{- end }}
        {{- if eq .Values.buildPods.executor "upstream" }}
            {{- fail "admissionPolicy.enabled is true, but the build pods of buildPods.executor: upstream have no owner label. Set buildPods.executor to service, or admissionPolicy.enabled to false." }}
        {{- end }}
        {{- range (.Values.config.KubernetesBuildExecutor | default dict).init_containers | default .Values.buildPods.initContainers }}
            {{- if ne (.securityContext | default dict).allowPrivilegeEscalation false }}
                {{- printf "admissionPolicy.enabled is true, and refuses build pods whose init container %s may gain privileges. Set securityContext.allowPrivilegeEscalation to false there, in buildPods.initContainers, or admissionPolicy.enabled to false." .name | fail }}
            {{- end }}
        {{- end }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.outbound-proxy" -}}
    {{- $proxy := .Values.outboundProxy }}
    {{- if $proxy.url }}
        {{- if eq .Values.buildPods.executor "upstream" }}
            {{- fail "outboundProxy.url is set, but the build pods of buildPods.executor: upstream would not use it. Set buildPods.executor to service, or leave outboundProxy.url out." }}
        {{- end }}
        {{- range $place, $variables := dict
            "extraEnv" (include "binderhub-service.extra-env" . | fromYamlArray)
            "dockerApi.extraEnv" (include "binderhub-service.env" .Values.dockerApi.extraEnv | fromYamlArray)
            "buildPods.extraEnv" .Values.buildPods.extraEnv
        }}
            {{- range $variables }}
                {{- if has (lower .name) (list "http_proxy" "https_proxy" "no_proxy") }}
                    {{- printf "outboundProxy.url is set, and %s sets %s. Leave %s out of %s." $place .name .name $place | fail }}
                {{- end }}
            {{- end }}
        {{- end }}
        {{- $open := or .Values.networkPolicy.egressAllowRules.privateIPs .Values.networkPolicy.buildPods.egress $proxy.peers }}
        {{- if and .Values.networkPolicy.enabled (not $open) (not (include "binderhub-service.outbound-proxy.has-address" .)) }}
            {{- printf "outboundProxy.url has the name %s, whose address a network policy cannot know, so that builds would not reach the proxy. Set outboundProxy.peers to where it is, such as [{ipBlock: {cidr: 10.1.2.3/32}}]." (include "binderhub-service.outbound-proxy.host" .) | fail }}
        {{- end }}
    {{- else if or $proxy.noProxy $proxy.peers }}
        {{- fail "outboundProxy.noProxy or outboundProxy.peers is set, but no proxy. Set outboundProxy.url to its address, such as http://proxy.example.org:3128." }}
    {{- end }}
{{- end }}

{{- define "binderhub-service.validate-values.check-image" -}}
    {{- if and .Values.buildPods.checkImage.enabled (eq .Values.buildPods.executor "upstream") }}
        {{- fail "buildPods.checkImage.enabled is true, but the build pods of buildPods.executor: upstream check no image. Set buildPods.executor to service, or buildPods.checkImage.enabled to false." }}
    {{- end }}
{{- end }}
