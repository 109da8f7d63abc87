import { userInfo } from "node:os";

/**
 * The name of the account this process runs as, for a service to run as the same. The environment
 * is not asked, which may say nothing or, below sudo, another name. An account without a name is
 * given by its number.
 */
export function accountName(): string {
  const { exitCode, stdout } = Bun.spawnSync(["id", "-un"]);
  const name = stdout.toString().trim();
  return exitCode === 0 && name !== "" ? name : String(userInfo().uid);
}
