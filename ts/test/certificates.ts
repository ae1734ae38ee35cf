import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificate {
  cert: Buffer
  key: Buffer
  certFile: string
  keyFile: string
}

/** An authority, and what it signs, by openssl. */
export class Authority {
  readonly certFile: string
  readonly #keyFile: string

  constructor(
    readonly folder: string,
    readonly name: string,
  ) {
    this.certFile = join(folder, `${name}.pem`)
    this.#keyFile = join(folder, `${name}.key`)
    openssl(['req', '-x509', ...newKey(this.#keyFile), '-out', this.certFile, '-days', '2', '-subj', `/CN=${name}`])
  }

  get cert(): Buffer {
    return readFileSync(this.certFile)
  }

  /** `subject` is as openssl writes it: `/O=KiteDB/CN=admin`. */
  sign(name: string, subject: string): Certificate {
    const [keyFile, requestFile, certFile, extensions] = ['key', 'csr', 'pem', 'ext'].map((what) =>
      join(this.folder, `${this.name}-${name}.${what}`),
    ) as [string, string, string, string]
    writeFileSync(extensions, 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n')
    openssl(['req', '-new', ...newKey(keyFile), '-out', requestFile, '-utf8', '-subj', subject])
    const signing = [
      '-CA',
      this.certFile,
      '-CAkey',
      this.#keyFile,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extensions,
    ]
    openssl(['x509', '-req', '-in', requestFile, '-out', certFile, ...signing])
    return { cert: readFileSync(certFile), key: readFileSync(keyFile), certFile, keyFile }
  }
}

function newKey(keyFile: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
}

function openssl(args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
