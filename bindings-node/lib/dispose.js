'use strict';
// Node 20 has `Symbol.dispose` and `Symbol.asyncDispose` from 20.5 on; where one is missing it is made as others make it.

for (const name of ['dispose', 'asyncDispose']) {
  if (Symbol[name] === undefined) {
    Object.defineProperty(Symbol, name, { value: Symbol.for(`Symbol.${name}`), configurable: false, writable: false });
  }
}
