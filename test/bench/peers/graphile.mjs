// graphile-worker doing the work of operations of three durable phases: three jobs, each added by the one before it.
// Environment: DATABASE_URL, N, CONCURRENCY, SUBMITTERS; LOCAL_QUEUE and COMPLETE_DELAY_MS turn its batching on;
// LATENCY=1 measures lone jobs from addJob() to their start instead. Prints "ready", then one line of JSON.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const count = number('N', 1000), concurrency = number('CONCURRENCY', 10), submitters = number('SUBMITTERS', 16);
const localQueue = number('LOCAL_QUEUE', 0), completeDelay = number('COMPLETE_DELAY_MS', -1);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: concurrency + submitters + 4 });
pool.on('error', () => {});
pool.on('connect', (client) => client.on('error', () => {}));
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
await pool.query('TRUNCATE graphile_worker._private_jobs');

const waits = [];
let done = 0, finished;
const all = new Promise((resolve) => { finished = resolve; });
const step = (next) => async (payload, helpers) => {
  if (payload.at) waits.push(performance.now() - payload.at);
  if (next) await helpers.addJob(next, { n: payload.n });
  else if (++done >= count) finished();
};
const runner = await run({
  pgPool: pool, logger, concurrency, noHandleSignals: true,
  taskList: { first: step('second'), second: step('third'), third: step(null) },
  preset: { worker: {
    ...(localQueue ? { localQueue: { size: localQueue } } : {}),
    ...(completeDelay >= 0 ? { completeJobBatchDelay: completeDelay } : {}),
  } },
});
console.log('ready');
await new Promise((resolve) => setTimeout(resolve, 500));
const at = performance.now();
if (process.env.LATENCY) {
  for (let n = 0; n < count; n++) {
    await utils.addJob('first', { n, at: performance.now() });
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20));
  }
} else {
  let next = 0;
  await Promise.all(Array.from({ length: submitters }, async () => {
    while (next < count) await utils.addJob('first', { n: next++ });
  }));
}
await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 120000))]);
console.log(JSON.stringify({ done, per_s: done / (performance.now() - at) * 1000, waits_ms: waits }));
await runner.stop().catch(() => {});
process.exit(0);
