{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "sockmesh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sockmesh.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "sockmesh.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sockmesh.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sockmesh.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sockmesh.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object except its component. */}}
{{- define "sockmesh.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "sockmesh.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sockmesh.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sockmesh.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "sockmesh.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Whether the root certificate comes from a ConfigMap or a Secret. */}}
{{- define "sockmesh.hasRoot" -}}
{{- with .Values.xds.tls }}{{ if and .enabled (or .rootCertificate.configMap .rootCertificate.secret) }}yes{{ end }}{{ end }}
{{- end }}

{{- define "sockmesh.hasClientCertificate" -}}
{{- with .Values.xds.tls }}{{ if and .enabled .clientCertificate.secret }}yes{{ end }}{{ end }}
{{- end }}

{{- define "sockmesh.hasToken" -}}
{{- if and .Values.xds.tls.enabled .Values.xds.token.enabled }}yes{{ end }}
{{- end }}

{{/* The agent's configuration file: what the values say, under what `config` says. */}}
{{- define "sockmesh.config" -}}
{{- $ads := dict "address" .Values.xds.address }}
{{- if ne .Values.xds.clusterDomain "cluster.local" }}{{ $_ := set $ads "cluster_domain" .Values.xds.clusterDomain }}{{ end }}
{{- with .Values.xds.fallbackAddresses }}{{ $_ := set $ads "fallback_addresses" . }}{{ end }}
{{- if ne .Values.xds.protocol "AUTO" }}{{ $_ := set $ads "protocol" .Values.xds.protocol }}{{ end }}
{{- if .Values.cache.enabled }}{{ $_ := set $ads "cache_path" "/var/lib/sockmesh/control-plane" }}{{ end }}
{{- with .Values.xds.authority }}{{ $_ := set $ads "authority" . }}{{ end }}
{{- if .Values.xds.tls.enabled }}
{{- $tls := dict }}
{{- if include "sockmesh.hasRoot" . }}{{ $_ := set $tls "root_path" "/var/run/sockmesh/root/root.pem" }}{{ end }}
{{- if include "sockmesh.hasClientCertificate" . }}
{{- $_ := set $tls "certificate_path" "/var/run/sockmesh/client/tls.crt" }}
{{- $_ := set $tls "key_path" "/var/run/sockmesh/client/tls.key" }}
{{- end }}
{{- $_ := set $ads "tls" $tls }}
{{- end }}
{{- if include "sockmesh.hasToken" . }}{{ $_ := set $ads "token_path" "/var/run/secrets/tokens/token" }}{{ end }}
{{- $node := dict }}
{{- $metadata := deepCopy .Values.xds.metadata }}
{{- with .Values.xds.namespace }}{{ $_ := set $metadata "NAMESPACE" . }}{{ end }}
{{- if $metadata }}{{ $_ := set $node "metadata" $metadata }}{{ end }}
{{- $locality := dict }}
{{- with .Values.locality.region }}{{ $_ := set $locality "region" . }}{{ end }}
{{- with .Values.locality.zone }}{{ $_ := set $locality "zone" . }}{{ end }}
{{- with .Values.locality.subZone }}{{ $_ := set $locality "sub_zone" . }}{{ end }}
{{- if $locality }}{{ $_ := set $node "locality" $locality }}{{ end }}
{{- $metrics := dict "endpoint_label" .Values.metrics.endpointLabel }}
{{- if .Values.metrics.enabled }}
{{- $_ := set $metrics "address" (printf "%s:%d" .Values.metrics.host (int .Values.metrics.port)) }}
{{- end }}
{{- $config := dict
  "ads" $ads
  "datapath" (dict "max_services" (int .Values.datapath.maxServices)
                   "max_connections" (int .Values.datapath.maxConnections)
                   "max_affinity_clients" (int .Values.datapath.maxAffinityClients))
  "admin" (dict "address" (printf "127.0.0.1:%d" (int .Values.admin.port)))
  "logging" (dict "level" .Values.logging.level "json" .Values.logging.json)
  "metrics" $metrics }}
{{- if $node }}{{ $_ := set $config "node" $node }}{{ end }}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) }}
{{- if .Values.podWatch.enabled }}
{{- $served := default dict $config.served }}
{{- range $list, $pods := dict "leave_out" .Values.podWatch.leaveOut "let_in" .Values.podWatch.letIn }}
{{- $rules := list }}
{{- range $pods }}{{ $rules = append $rules (dict "pods" .) }}{{ end }}
{{- with concat $rules (default list (get $served $list)) }}{{ $_ := set $served $list . }}{{ end }}
{{- end }}
{{- if $served }}{{ $_ := set $config "served" $served }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "sockmesh.securityContext" -}}
{{- $add := list "BPF" "NET_ADMIN" "PERFMON" }}
{{- if .Values.legacyMemlock }}{{ $add = append $add "SYS_RESOURCE" }}{{ end }}
{{- if .Values.namespaceScan.enabled }}{{ $add = append $add "SYS_ADMIN" }}{{ end }}
{{- $context := dict
  "privileged" false
  "allowPrivilegeEscalation" false
  "readOnlyRootFilesystem" true
  "runAsUser" 0
  "runAsGroup" 0
  "capabilities" (dict "drop" (list "ALL") "add" $add)
  "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- toYaml (mergeOverwrite $context (deepCopy .Values.securityContext)) }}
{{- end }}

{{/* A pod that needs nothing of the node: for `helm test` and for waiting. */}}
{{- define "sockmesh.harmlessSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65534
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
