// An OpenID Connect provider for tests; anybody signs in with any password.
// Arguments: port, redirect URI, client's id, client's secret, groups by name as JSON.
import { Provider } from "oidc-provider";

const [port, redirect, id, secret, groups] = process.argv.slice(2);
const known = JSON.parse(groups);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: id,
    client_secret: secret,
    redirect_uris: [redirect],
    grant_types: ["authorization_code"],
    response_types: ["code"],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  pkce: { required: () => true },
  findAccount: async (_, sub) => ({
    accountId: sub,
    claims: async () => ({ sub, preferred_username: sub, groups: known[sub] ?? [] }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
