// What the lessons' page says of itself, in English and Simplified Chinese.

export const LANGUAGES = ["en", "zh"];
const LANGUAGE_KEY = "convscope-language";

const LESSON_WORDS = {
  en: {
    lessons: "Lessons", network: "Network", lesson: "Lesson", controls: "Change it", toControls: "Change it ↓", reset: "As it was", theme: "colours",
    typed: "typed numbers", cut: "cut from the picture", model: "from a network", kernel: "kernel", modelHint: "MODEL LAYER CHANNEL, such as resnet18 conv1 12",
    rowsHint: "Numbers apart by spaces, a row a line, channels apart by |", top: "top", left: "left", rows: "rows", columns: "columns",
    dragHint: "Drag on the picture to draw the box anew, inside it to move it; arrow keys move it, with Shift they resize it.",
    upload: "Your own photo", none: "none", same: "same", row: "row", column: "column", play: "Play", pause: "Pause", back: "One step back", step: "One step on",
    first: "To the beginning", scrub: "step", speed: "speed", perSecond: "steps a second", of: "of", input: "input", padded: "input, padded", spread: "input, with zeros between its cells", result: "feature map",
    window: "window", products: "products", sum: "sum", bias: "bias", channel: "channel", more: "and {} more channels", moreMaps: "the first {} of {} maps",
    proof: "Checked: the sum against torch", savePicture: "Picture (.png)", saveAnimation: "Animation of these steps (.gif)", saveFilm: "The same in all its colours (.webp)", saveMovie: "The same as a film (.mp4)", saveNumbers: "Numbers (.json)", saveTables: "Numbers and tables (.csv)", copyLink: "Copy a link", usual: "The usual value is shown instead.", copied: "The link is copied. It holds the key to this server.",
    exported: "Export", saved: "{} is saved.", working: "computing", yes: "yes", no: "no", mapOf: "map, {} by {} cells", stepOf: "step {} of {}", drag: "drag to change",
    shown: "a drag draws", agrees: "torch has the same", differs: "torch differs",
  },
  zh: {
    lessons: "课程", network: "网络", lesson: "课程", controls: "动手改变", toControls: "动手改变 ↓", reset: "恢复默认", theme: "配色",
    typed: "输入的数字", cut: "从图中裁出", model: "来自神经网络", kernel: "卷积核", modelHint: "模型 层 通道，例如 resnet18 conv1 12",
    rowsHint: "数字以空格分开，每行一行，通道以 | 分开", top: "上", left: "左", rows: "行数", columns: "列数",
    dragHint: "在图上拖动可重画方框，在框内拖动可移动它；方向键移动，按住 Shift 改变大小。",
    upload: "自己的照片", none: "不填充", same: "same", row: "行", column: "列", play: "播放", pause: "暂停", back: "后退一步", step: "前进一步",
    first: "回到开头", scrub: "步", speed: "速度", perSecond: "步每秒", of: "共", input: "输入", padded: "输入（含填充）", spread: "输入（单元之间插入零）", result: "特征图",
    window: "窗口", products: "乘积", sum: "和", bias: "偏置", channel: "通道", more: "另有 {} 个通道", moreMaps: "共 {1} 张图，显示前 {0} 张",
    proof: "验算：这个和与 torch 的结果", savePicture: "图片 (.png)", saveAnimation: "这些步骤的动画 (.gif)", saveFilm: "同一动画，颜色完整 (.webp)", saveMovie: "同一动画，视频 (.mp4)", saveNumbers: "数字 (.json)", saveTables: "数字与表格 (.csv)", copyLink: "复制链接", usual: "现按默认值显示。", copied: "链接已复制，其中含有本服务器的密钥。",
    exported: "导出", saved: "已保存 {}。", working: "计算中", preview: "预览", yes: "是", no: "否", mapOf: "{} × {} 的图", stepOf: "第 {} 步，共 {} 步", drag: "拖动以改变",
    shown: "拖动画出", agrees: "torch 的结果相同", differs: "torch 的结果不同",
  },
};

/**
 * A word, with what stands in its places.
 * @param {string} language @param {string} word @param {...any} places
 */
export function said(language, word, ...places) {
  let next = 0;
  return LESSON_WORDS[language][word].replace(/\{(\d?)\}/g, (_, place) => places[place === "" ? next++ : Number(place)]);
}

/** What the proof of a cell says; in English these are its own words. */
const PROOF_WORDS = {
  "the arithmetic of a cell": "一个单元的算式", "channel {}": "通道 {}", ", row {}, column {}": "，第 {} 行，第 {} 列", "Asking …": "正在查询……",
  "conv": "卷积", "conv transpose": "转置卷积", "Σ input · weight": "Σ 输入 · 权重", "Σ input · weight + bias": "Σ 输入 · 权重 + 偏置",
  "rounding allows {}": "舍入允许 {}", "copied, so no rounding is allowed": "直接复制，不允许舍入误差", "not finite": "不是有限数", "off by {}, {}": "相差 {}，{}", nothing: "0",
  sum: "和", "they agree": "相同", "they differ": "不同", bias: "偏置", "{} further term": "其余 {} 项", "{} further terms": "其余 {} 项", together: "合计", "none is larger": "都不更大",
  patch: "窗口", kernel: "卷积核", product: "乘积", "{} of channel {}": "{}，通道 {}", "patch × kernel = products; open for the numbers": "窗口 × 卷积核 = 乘积；展开可看数字",
};

/** @param {string} language @param {string} text a phrase of the proof @param {...any} places */
export function provedIn(language, text, ...places) {
  const channel = /^channel (\d+)$/.exec(text);
  if (channel) return provedIn(language, "channel {}", channel[1]);
  return (language === "zh" ? PROOF_WORDS[text] ?? text : text).replace(/\{\}/g, () => String(places.shift()));
}

/** The language chosen last; that of the browser at first. */
export function rememberedLanguage() {
  try {
    const kept = localStorage.getItem(LANGUAGE_KEY);
    if (LANGUAGES.includes(kept)) return kept;
  } catch {
    // A browser may keep nothing; then the language is asked of it each time.
  }
  return navigator.language?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** @param {string} language */
export function rememberLanguage(language) {
  try {
    localStorage.setItem(LANGUAGE_KEY, language);
  } catch {
    // Nothing is lost but the memory of it.
  }
}
