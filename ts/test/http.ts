import { type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  bytes: Buffer
  text: string
  /** The body from JSON. */
  json: Record<string, unknown>
}

export interface Asked {
  method?: string
  headers?: Record<string, string | string[]>
  body?: string | Buffer
  /** A client's certificate and key, and who is believed to have signed the server's. */
  tls?: { cert?: Buffer; key?: Buffer; ca?: Buffer }
}

/** Asks over a connection of its own. */
export async function ask(url: string, asked: Asked = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, tls = {} } = asked
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers, agent: false, ...tls }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(pieces)
        const text = bytes.toString()
        let json: Record<string, unknown> = {}
        if (response.headers['content-type']?.startsWith('application/json')) json = JSON.parse(text) as typeof json
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text, json })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
