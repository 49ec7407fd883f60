{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What the schema cannot say. */}}
{{- define "sockmesh.validate" -}}
{{- if and .Values.metrics.enabled (eq (int .Values.admin.port) (int .Values.metrics.port)) }}
{{- fail (printf "metrics.port: %d is the admin server's port, too; set another" (int .Values.metrics.port)) }}
{{- end }}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled }}
{{- fail "serviceMonitor.enabled: every agent would be scraped twice; set podMonitor.enabled=false, too" }}
{{- end }}
{{- with .Values.xds.tls.rootCertificate }}
{{- if and $.Values.xds.tls.enabled .configMap .secret (ne .configMap "istio-ca-root-cert") }}
{{- fail "xds.tls.rootCertificate: there are both a configMap and a secret; name one" }}
{{- end }}
{{- end }}
{{- if not .Values.podWatch.enabled }}
{{- if or .Values.podWatch.leaveOut .Values.podWatch.letIn }}
{{- fail "podWatch.enabled: rules by pods need the watch of pods; set it to true" }}
{{- end }}
{{- with .Values.config.served }}
{{- range concat (default list .leave_out) (default list .let_in) }}
{{- if hasKey . "pods" }}{{ fail "podWatch.enabled: config.served has rules by pods; set it to true" }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) (or .Values.podWatch.enabled (include "sockmesh.hasToken" .)) }}
{{- fail "serviceAccount.name: is needed where serviceAccount.create is false" }}
{{- end }}
{{- end }}
