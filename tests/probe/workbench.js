// Opens the editor in a headless browser and waits for texts in its status bar.
// usage: node workbench.js PLAYWRIGHT URL SCREENSHOT SECONDS TEXT…   exit code 0: all texts came; 1: some did not; 2: no workbench
const { chromium } = require(process.argv[2]);
const [url, screenshot, seconds, ...texts] = process.argv.slice(3);

(async () => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  await page.goto(url, { waitUntil: 'load', timeout: 60000 });
  await page.waitForSelector('.part.statusbar', { timeout: 60000 });
  await page.waitForSelector('.part.activitybar', { timeout: 60000 });
  const items = () => page.$$eval('.part.statusbar .statusbar-item-label', (labels) => labels.map((label) => label.innerText.trim()));
  const missing = async () => {
    const found = await items();
    return texts.filter((text) => !found.some((item) => item.includes(text)));
  };
  const end = Date.now() + Number(seconds) * 1000;
  while ((await missing()).length > 0 && Date.now() < end) await page.waitForTimeout(250);
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ status: (await items()).filter(Boolean), missing: await missing() }));
  const code = (await missing()).length > 0 ? 1 : 0;
  await browser.close();
  process.exit(code);
})().catch((error) => {
  console.log(JSON.stringify({ error: String(error).slice(0, 500) }));
  process.exit(2);
});
