// What a lesson cannot do, said in Simplified Chinese: the server's sentences by their form.

import { Trouble, errorText } from "./trouble.js";

/** @type {[RegExp, string][]} a sentence and what it is in Chinese; `$1` and so on stand for its parts */
const SENTENCES = [
  [/^`(.+?)` must be a kernel's name or rows of numbers; got (.+)$/, "“$1”应为卷积核的名称或若干行数字；得到 $2"],
  [/^`(.+?)` must be a (whole )?number from (.+) to (.+); got (.+)$/, "“$1”应为 $3 到 $4 之间的{$2|整数|数}；得到 $5"],
  [/^`(.+?)` must be a whole number from (.+) to (.+)$/, "“$1”应为 $2 到 $3 之间的整数"],
  [/^`(.+?)` must be a whole number at least (.+); got (.+)$/, "“$1”应为不小于 $2 的整数；得到 $3"],
  [/^`(.+?)` must be `?none`?, `?same`?,? or a whole number from (.+) to (.+); got (.+)$/, "“$1”应为 none、same 或 $2 到 $3 之间的整数；得到 $4"],
  [/^`(.+?)` must be (.+) to (.+) whole numbers from (.+) to (.+); got (.+)$/, "“$1”应为 $2 到 $3 个整数，各在 $4 与 $5 之间；得到 $6"],
  [/^`(.+?)` must be (.+) to (.+) numbers from (.+) to (.+); got (.+)$/, "“$1”应为 $2 到 $3 个数，各在 $4 与 $5 之间；得到 $6"],
  [/^`(.+?)` must be (.+) to (.+) windows with their stride, such as (.+), each up to (.+); got (.+)$/, "“$1”应为 $2 到 $3 个“窗口/步长”，例如 $4，各不超过 $5；得到 $6"],
  [/^`(.+?)` must be one of (.+); got (.+)$/, "“$1”应为以下之一：$2；得到 $3"],
  [/^`(.+?)` must be on or off; got (.+)$/, "“$1”应为 on 或 off；得到 $2"],
  [/^`(.+?)` must be top, left, rows and columns, four whole numbers; got (.+)$/, "“$1”应为四个整数：上、左、行数、列数；得到 $2"],
  [/^`(.+?)` must be inside the picture, its top and left at least 0; got (.+)$/, "“$1”应在图内，上和左都不小于 0；得到 $2"],
  [/^`(.+?)` must be (.+) to (.+) rows and columns large; got (.+)$/, "“$1”的行数和列数应在 $2 与 $3 之间；得到 $4"],
  [/^`(.+?)` must be a picture, such as (.+); got (.+)$/, "“$1”应为一张图片，例如 $2；得到 $3"],
  [/^`(.+?)` of (.+) x (.+) at row (.+), column (.+) does not lie within the picture of (.+) x (.+)$/, "位于第 $4 行第 $5 列、大小为 $2 × $3 的“$1”不在 $6 × $7 的图片之内"],
  [/^`(.+?)` must be rows of numbers, all equally long; got rows of (.+) and of (.+)$/, "“$1”应为若干行数字，各行一样长；得到长为 $2 和 $3 的行"],
  [/^`(.+?)` must be rows of numbers, all equally long$/, "“$1”应为若干行数字，各行一样长"],
  [/^`(.+?)` must be rows of numbers, and is empty$/, "“$1”应为若干行数字，现在是空的"],
  [/^`(.+?)` must be rows of numbers, and (.+) is no number$/, "“$1”应为若干行数字，而 $2 不是数字"],
  [/^`(.+?)` must be rows of numbers, got shape (.+)$/, "“$1”应为若干行数字；得到的形状是 $2"],
  [/^`(.+?)` must be rows of numbers, the same rows and columns in every channel$/, "“$1”应为若干行数字，各通道的行数和列数相同"],
  [/^`(.+?)` must be rows of numbers, in at most (.+) channels?; got (.+)$/, "“$1”应为若干行数字，最多 $2 个通道；得到 $3 个"],
  [/^`(.+?)` must be rows of numbers, at most (.+) x (.+) of them; got (.+) x (.+)$/, "“$1”应为若干行数字，最大 $2 × $3；得到 $4 × $5"],
  [/^`(.+?)` must be rows of numbers, each between (.+) and (.+)$/, "“$1”应为若干行数字，各在 $2 与 $3 之间"],
  [/^`(.+?)` must have one channel in this lesson$/, "在本课中，“$1”只能有一个通道"],
  [/^`(.+?)` must have 1 channel, or 3 for red, green and blue; got (.+)$/, "“$1”应有 1 个通道，或红、绿、蓝 3 个通道；得到 $2 个"],
  [/^`(.+?)` must have (.+) axes, rows and columns last; got shape (.+)$/, "“$1”应有 $2 个轴，最后两个是行和列；得到的形状是 $3"],
  [/^`(.+?)` must be \(rows, columns\) or \(channels, rows, columns\); got shape (.+)$/, "“$1”的形状应为（行，列）或（通道，行，列）；得到 $2"],
  [/^`(.+?)` is empty: its shape is (.+)$/, "“$1”是空的：形状为 $2"],
  [/^`(.+?)` must divide the image's (.+) channel\w?; got (.+)$/, "“$1”必须能整除图像的 $2 个通道；得到 $3"],
  [/^`(.+?)` has (.+) channels and the image (.+): a depthwise convolution has one kernel for each channel$/, "“$1”有 $2 个通道，图像有 $3 个：逐通道卷积每个通道各有一个卷积核"],
  [/^`(.+?)` has (.+) channels and the image (.+)$/, "“$1”有 $2 个通道，图像有 $3 个"],
  [/^`(.+?)` must have a column for each of the image's (.+) channels; got (.+)$/, "“$1”的列数应等于图像的通道数 $2；得到 $3"],
  [/^`(.+?)` of a transposed convolution must be for the image's (.+) channels; its shape is (.+)$/, "转置卷积的“$1”应对应图像的 $2 个通道；它的形状是 $3"],
  [/^`(.+?)` of a transposed convolution must be a whole number, not `same`$/, "转置卷积的“$1”应为整数，不能是 same"],
  [/^`(.+?)` of a transposed convolution must be `zeros`; got (.+)$/, "转置卷积的“$1”应为 zeros；得到 $2"],
  [/^`(.+?)` of a transposed convolution must be equal on both sides; got (.+)$/, "转置卷积的“$1”两侧应相等；得到 $2"],
  [/^`(.+?)` must be for (?:(.+) of )?the image's (.+?) channel\w?(?: and its maps a multiple of (.+) groups)?; its shape is (.+)$/, "“$1”应对应图像的 $3 个通道；它的形状是 $5"],
  [/^`(.+?)` cuts off the whole result of (.+) x (.+); got (.+)$/, "“$1”把 $2 × $3 的结果全部裁掉了；得到 $4"],
  [/^`(.+?)` must be one number, or one for each of (.+) feature maps; got shape (.+)$/, "“$1”应为一个数，或 $2 张特征图各一个数；得到的形状是 $3"],
  [/^`(.+?)` padding can add at most (.+) (?:rows|columns) to an image of (.+); got (.+)$/, "“$1”方式对长为 $3 的图像最多填充 $2；得到 $4"],
  [/^the kernel of (.+) is larger than the padded image of (.+) x (.+)$/, "{$1} 的卷积核比填充后的 $2 × $3 图像还大"],
  [/^`(.+?)` of (.+) is halved (.+) times by pooling and nothing is left$/, "“$1”为 $2，经 $3 次池化减半后什么也不剩"],
  [/^(.+) strides, (.+) biases and (.+) poolings are more than (.+) maps$/, "$1 个步长、$2 个偏置和 $3 种池化超过了 $4 张图"],
  [/^there is no kernel `(.+)`$/, "没有名为 $1 的卷积核"],
  [/^the lesson `(.+)` has no control `(.+)`$/, "课程 $1 没有控件 $2"],
  [/^`(.+)` has no convolution `(.+)`$/, "{$1} 没有名为 $2 的卷积层"],
  [/^`(.+)` of `(.+)` has channels (.+) to (.+); got (.+)$/, "{$2} 的 {$1} 的通道为 $3 到 $4；得到 $5"],
  [/^`(.+)` was not run for this photo$/, "处理这张照片时没有用到 {$1}"],
  [/^`(.+?)` has a window of (.+) x (.+), larger than the map of (.+) x (.+)$/, "“$1”的窗口 $2 × $3 比 $4 × $5 的特征图还大"],
  [/^`(.+?)` must lie within the last map of (.+) x (.+); got (.+)$/, "“$1”应在最后一张 $2 × $3 的特征图之内；得到 $4"],
  [/^the picture of (.+) x (.+) is too small to be moved by (.+) rows and (.+) columns$/, "$1 × $2 的图片太小，无法移动 $3 行 $4 列"],
  [/^(.+) products are too many to be played step by step$/, "$1 个乘积太多，无法逐步演示"],
  [/^there is no step (.+)$/, "没有第 $1 步"],
  [/^this lesson has no steps to animate$/, "本课没有可以做成动画的步骤"],
  // Of photos, models and the server.
  [/^`(.+)` is not a picture in a format that is read \((.+)\)$/, "{$1} 不是可以读取的图片格式（$2）"],
  [/^`(.+)` is (.+); (.+) are read$/, "{$1} 无法读取；可以读取的格式有 $3"],
  [/^`(.+)` is empty: .+$/, "{$1} 是空的"],
  [/^`(.+)` is damaged or incomplete: (.+)$/, "{$1} 已损坏或不完整"],
  [/^`(.+)` is (.+) x (.+) pixels, (.+) million, but at most (.+) million are read$/, "{$1} 有 $2 × $3 像素，即 $4 百万；最多读取 $5 百万"],
  [/^`(.+)` is (.+) x (.+) pixels, but a side may have at most (.+)$/, "{$1} 有 $2 × $3 像素，每边最多 $4"],
  [/^`(.+)` has (.+) million bytes, but at most (.+) million are read$/, "{$1} 有 $2 百万字节；最多读取 $3 百万"],
  [/^`(.+)` (?:needs more memory than there is|is made of so many .+|holds a frame .+|is drawn in .+|could not be decoded)$/, "{$1} 太大或太特殊，无法解码"],
  [/^there is no (?:such photo|such sample|sample picture `.+`|such photo.*|such sample.*).*$/, "没有这张图片，或已不再保留"],
  [/^there is no such model.*$/, "没有这个模型，或已不再保留"],
  [/^too many (.+) are waiting already$/, "排队的请求太多了"],
  [/^this took longer than (.+) seconds and was ended$/, "用时超过 $1 秒，已被终止"],
  [/^this needs more memory than is allowed$/, "所需内存超过允许的上限"],
  [/^the process at work ended before it was done, .+$/, "工作进程提前结束，多半是内存不足"],
  [/^the server does not answer$/, "服务器没有响应"],
  [/^MP4 films need the package `av`, which is not installed$/, "MP4 视频需要 av 包，尚未安装"],
  // Ways out.
  [/^Numbers stand apart by spaces, rows by `;`: (.+)$/, "数字以空格分开，每行一行，例如 $1"],
  [/^Named are (.+)$/, "有名称的是 $1"],
  [/^There are (.+)$/, "现有 $1"],
  [/^It has (.+)$/, "它有 $1"],
  [/^Did you mean (.+)\?$/, "是不是 $1？"],
  [/^Take a smaller kernel, a larger image or more padding$/, "请减小卷积核、加大图像或增加填充"],
  [/^In Python also .+$/, ""],
  [/^At most (.+): take a smaller kernel or a larger stride$/, "最多 $1：请减小卷积核或加大步长"],
  [/^(?:If it is a picture, save it|Save it again|Get the file again).*$/, "请用图像软件另存为 JPEG 或 PNG"],
  [/^(?:Make it smaller first|Save it smaller|Try a smaller photo or model).*$/, "请先把它缩小"],
  [/^Try again soon$/, "请稍后再试"],
  [/^Is convscope serve still running\?$/, "convscope serve 还在运行吗？"],
  [/^Install it with: (.+?), or write a \.gif or \.webp instead$/, "安装方法：$1；也可以保存 .gif 或 .webp"],
  [/^Install it with: (.+)$/, "安装方法：$1"],
];

/**
 * A sentence in Chinese, where its form is known; `names` says what controls are called.
 * @param {string} sentence @param {Object<string, string>} [names] @returns {string|null}
 */
export function inChinese(sentence, names = {}) {
  const bare = sentence.trim().replace(/\.$/, "");
  for (const [form, text] of SENTENCES) {
    const found = form.exec(bare);
    if (!found) continue;
    const part = (place) => found[Number(place)] ?? "";
    return text
      .replace(/\{\$(\d)\|(.+?)\|(.+?)\}/g, (_, place, one, other) => (part(place) ? one : other))
      .replace(/“\$(\d)”/g, (_, place) => `“${names[part(place)] ?? part(place)}”`)
      .replace(/\{?\$(\d)\}?/g, (_, place) => part(place).replace(/, dilated to (.+),$/, "（膨胀后为 $1）").replace(/ x /g, " × "));
  }
  return null;
}

/**
 * What a person reads of an error on a page in this language; `names` are the controls' labels.
 * @param {any} error @param {string} language @param {Object<string, string>} [names]
 */
export function lessonErrorText(error, language, names = {}) {
  if (!(error instanceof Trouble)) return errorText(error);
  const message = language === "zh" ? inChinese(error.message, names) : null;
  if (message === null) return errorText(new Trouble(error.message.replace(/`(\w+)`/g, (written, name) => (names[name] ? `“${names[name]}”` : written)), error.hint));
  const hint = error.hint ? inChinese(error.hint, names) ?? error.hint : "";
  return [message, hint].filter(Boolean).map((text) => text.replace(/[。？?.]?$/, (end) => (end === "？" || end === "?" ? "？" : "。"))).join("");
}
