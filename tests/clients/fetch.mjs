// Node's fetch, which knows no proxy: it calls a base-URL route. Arguments: URLs.
for (const url of process.argv.slice(2)) {
  const reply = await fetch(url, { headers: { authorization: "Bearer own-key-of-the-application" }, signal: AbortSignal.timeout(20_000) });
  console.log(JSON.stringify({ status: reply.status, type: reply.headers.get("content-type") ?? "", body: await reply.text() }));
}
