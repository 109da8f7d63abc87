/** Unpredictable bytes, for keys and names; never for anything a run must reproduce. */
export interface Random {
  bytes(count: number): Uint8Array;
}
