// pg-boss doing the work of operations of three durable phases: three jobs, each sent by the one before it.
// Environment: DATABASE_URL, N, LOOPS, BATCH, SUBMITTERS. Its work() starts a job a poll; fetch and complete in loops, which
// it offers too, are its fastest. Prints "ready", then one line of JSON.
import { PgBoss } from 'pg-boss';

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const count = number('N', 1000), loops = number('LOOPS', 4), batch = number('BATCH', 1), submitters = number('SUBMITTERS', 16);
const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: loops + submitters, supervise: false, schedule: false });
boss.on('error', (error) => console.error(String(error)));
await boss.start();
await boss.createQueue('work');
await boss.deleteAllJobs('work').catch(() => {});

let done = 0, stopped = false, finished;
const all = new Promise((resolve) => { finished = resolve; });
async function loop() {
  while (!stopped) {
    const jobs = await boss.fetch('work', { batchSize: batch });
    if (!jobs.length) { await new Promise((resolve) => setTimeout(resolve, 2)); continue; }
    const next = jobs.filter((job) => job.data.phase < 3).map((job) => ({ data: { n: job.data.n, phase: job.data.phase + 1 } }));
    if (next.length === 1) await boss.send('work', next[0].data);
    else if (next.length) await boss.insert('work', next);
    await boss.complete('work', jobs.map((job) => job.id));
    done += jobs.length - next.length;
    if (done >= count) finished();
  }
}
console.log('ready');
await new Promise((resolve) => setTimeout(resolve, 500));
const at = performance.now();
const running = Array.from({ length: loops }, loop);
let next = 0;
await Promise.all(Array.from({ length: submitters }, async () => {
  while (next < count) await boss.send('work', { n: next++, phase: 1 });
}));
await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 120000))]);
console.log(JSON.stringify({ done, per_s: done / (performance.now() - at) * 1000 }));
stopped = true;
await Promise.allSettled(running);
process.exit(0);
