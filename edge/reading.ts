/** What changes nothing, has no body, and may be sent twice. */
export const isReading = (method: string): boolean => method === 'GET' || method === 'HEAD'
