// `OTEL_EXPORTER_OTLP_HEADERS` (OpenTelemetry's Protocol Exporter specification): pairs as W3C Baggage writes them, values
// percent-encoded. What is no pair is left out, as the specification says.

export function readOtlpHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const pair of text.split(',')) {
    const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? []
    if (name !== undefined && value !== undefined) headers[name] = decoded(value)
  }
  return headers
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
