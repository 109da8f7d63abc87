/**
 * The system's modules for sockets and names, loaded when they are first used: imported at the top of a
 * file they would be loaded at every start of the program, which costs as much as all of its own code.
 */
export const networkModules = {
  get net() {
    return process.getBuiltinModule("node:net");
  },
  get tls() {
    return process.getBuiltinModule("node:tls");
  },
  get dgram() {
    return process.getBuiltinModule("node:dgram");
  },
  get names() {
    return process.getBuiltinModule("node:dns/promises");
  },
};
