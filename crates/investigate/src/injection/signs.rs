//! What gives text away that is meant for the reader of a log?
//!
//! Patterns are written for what each kind of attempt has to say to work, in eight languages, and not for
//! single examples. Phrases are matched on words ([`super::reading`]), marks on the text as written.

use regex::Regex;
use std::sync::LazyLock;

/// What text does to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Holds delimiters of a chat, or a role that speaks.
    ChatDelimiter,
    /// Holds labels or headings of a prompt.
    ForgedEvidence,
    /// Tells the reader to leave something out.
    Override,
    /// Addresses a model or an analyst.
    Address,
    /// Tells how to judge, or what to answer.
    Verdict,
    /// Claims that somebody approved it.
    Approval,
}

impl Sign {
    /// As part of a sentence: "text that …".
    pub fn describe(self) -> &'static str {
        match self {
            Self::ChatDelimiter => "imitates the delimiters of a chat",
            Self::ForgedEvidence => "imitates evidence or headings of a report",
            Self::Override => "tells its reader what to leave out",
            Self::Address => "addresses whoever reads the log",
            Self::Verdict => "tells its reader how to judge",
            Self::Approval => "claims an approval",
        }
    }
}

/// Words for what a reader could be told to leave out.
macro_rules! matter {
    () => {
        r"(instructions?|prompts?|directives?|rules|guidelines|context|evidence|events?|alerts?|logs?|messages?|findings?|detections?|everything|anything|text|orders|commands?)"
    };
}
const OVERRIDES: &[&str] =
    &["ignor", "disregard", "forget", "override", "bypass", "skip", "neglect", "dismiss"];
const APPROVALS: &[&str] = &[
    "approved",
    "authoris",
    "authoriz",
    "sanctioned",
    "permitted",
    "listed by",
    "cleared",
    "signed off",
    "scheduled",
    "planned",
    "legitimate",
];
const HARMLESS: &[&str] = &[
    "benign",
    "false positive",
    "harmless",
    "legit",
    "safe",
    "innocuous",
    "malicious",
    "an attack",
    "no threat",
    "known good",
    "ordinary",
    "expected",
    "authoris",
    "authoriz",
    "informational",
    "resolved",
    "whitelisted",
    "allowlisted",
];
macro_rules! harmless {
    () => {
        r"(benign|false positives?|harmless|legitimate|legit|safe|innocuous|non malicious|not malicious|not an attack|no threat|known good|ordinary|expected|authori[sz]ed|informational|resolved|whitelisted|allowlisted)"
    };
}

/// What a pattern says of a text, parts of which one must be in the text for the pattern to be tried, and
/// the pattern.
type Pattern = (Sign, &'static [&'static str], &'static str);

/// Marks in the text as written, in lower case.
const MARKS: [Pattern; 8] = [
    (Sign::ChatDelimiter, &["<|", "<｜"], r"<\|/?[a-z][a-z_]{1,30}\|>|<｜[^｜]{2,40}｜>"),
    (
        Sign::ChatDelimiter,
        &["inst]", "sys>>", "system_prompt]", "_of_turn>", "_of_utterance>"],
        r"\[/?inst\]|<</?sys>>|\[/?system_prompt\]|</?(start|end)_of_turn>|<end_of_utterance>",
    ),
    (
        Sign::ChatDelimiter,
        &["system>", "assistant>", "###"],
        r"</?(system|assistant)>|###\s*(system|instructions?|assistant|user|response)\s*:?\s*(\n|$)",
    ),
    (
        Sign::ChatDelimiter,
        &["system:", "assistant:", "system :", "assistant :"],
        r#"(?m)(^|[\n"'#])\s*(assistant\s*:\s+\S|system\s*:\s+(you|ignore|all|every|this|these|the|override|new|answer|classify|treat|mark|do|from now)\b)"#,
    ),
    (Sign::ForgedEvidence, &["[e"], r"\[e\d{1,2}(,\s*e\d{1,2})*\]"),
    (Sign::ForgedEvidence, &["question:"], r"\bquestion:\s[^\x00]{1,200}\banswer:\s"),
    (Sign::ForgedEvidence, &["end of "], r"\bend of (events|evidence|logs?|data|input)\b\W{2,}"),
    (
        Sign::ForgedEvidence,
        &["verdict", "classification", "disposition"],
        r#"["']?\b(verdict|classification|disposition)["']?\s*:\s*["']?(benign|false[ _]positive|safe|harmless|legitimate|clean)"#,
    ),
];

/// Phrases in words of one space between, in lower case, without punctuation.
const PHRASES: [Pattern; 23] = [
    (
        Sign::Override,
        OVERRIDES,
        concat!(
            r"\b((ignore|disregard|forget|override|bypass|skip|neglect|dismiss)( please| now| completely| entirely)?( all| any| every| the| your| these| those| of| other| my| previous| prior| above| earlier| preceding| foregoing| remaining)+( system| such| security| following| other)* ",
            matter!(),
            r"|(ignore|disregard|forget) (instructions?|prompts?|directives?))\b"
        ),
    ),
    (Sign::Override, &["ignor"], r"\bignore (all )?(the )?(previous|above|prior|preceding)\b"),
    (
        Sign::Verdict,
        HARMLESS,
        concat!(
            r"\b(mark|classify|treat|report|label|consider|flag|rate|score|regard|judge|categori[sz]e|deem|close|set|count)( this| it| these| the| all| that| them| every| my| above| following| current| alerts?| events?| cases?| activity| activities| incidents?| requests?| logs?| findings?| verdict| severity| everything| below| here| and){1,6}( is| are| as| to be| to| being| with| a| an| the)+ ",
            harmless!(),
            r"\b"
        ),
    ),
    (
        Sign::Verdict,
        HARMLESS,
        concat!(
            r"\b(?P<unless>(if|whether|that|ensure|confirm|determine|verify|where|when|because)( \w+){0,2} )?(this|these|the|all|above|following|current) (alerts?|events?|activity|activities|cases?|incidents?|requests?|traffic|behaviou?r|actions?|commands?|detections?|findings?|logs?|case) (is|are|was|were|should be|must be) (a |an |all |completely |entirely |clearly |just |only |considered |treated as |classified as )*",
            r"(benign|false positives?|harmless|innocuous|non malicious|not malicious|not an attack|known good)",
            r"\b"
        ),
    ),
    (
        Sign::Verdict,
        HARMLESS,
        r"\bthis (is|was) (a |an )?(false positive|benign|harmless|authori[sz]ed (test|activity)|known good)\b",
    ),
    (
        Sign::Verdict,
        &["answer", "respond", "reply", "say", "output", "write", "print", "return", "conclude"],
        r"\b(answer|respond|reply|say|output|write|print|return|conclude)( only| with| always| just| that| it| is| please| to| every| all| each| the| question| questions| simply| exactly| in| one| word)* (no|yes|benign|safe|harmless|false positive|not malicious)( to| for|$| and| only| always| because)\b?",
    ),
    (
        Sign::Verdict,
        &["answer", "verdict", "conclusion", "classification", "disposition"],
        r"\b(answer|conclusion)( is| should be| must be)? no\b|\b(answer|verdict|conclusion|classification|disposition)( is| should be| must be)? (benign|safe|harmless|false positive|ordinary|not malicious)\b",
    ),
    (
        Sign::Verdict,
        &["nothing ", "do not ", "dont ", "never "],
        r"\b(nothing (malicious|suspicious|to (report|see|investigate))|(do not|dont|never) (alert|report|escalate|investigate|flag)( on)?( this| these| the| it))\b",
    ),
    (
        Sign::Verdict,
        &["reviewed and", "investigated and", "checked and"],
        r"\b(reviewed|investigated|checked) and (closed|cleared|approved|dismissed)\b",
    ),
    (
        Sign::Address,
        &["dear ", "note to", "notes for", "message to", "message for", "attention", "hello", "hey "],
        r"\b(dear|note to|notes for|message (to|for)|attention|hello|hey) (the |any |whoever |my |our |all )?(ai|llm|language model|assistant|chatbot|gpt|copilot|claude|gemini|soc analyst|analyst|analysts|security analyst|reviewer|reviewing|investigator|ai model|ai agent|analyst model|security ai|automated (analyst|system|reviewer))\b",
    ),
    (
        Sign::Address,
        &["you are "],
        r"\byou are (now |actually |still )?(a |an |the )?(helpful|friendly|large|ai|assistant|language|model|chatbot|security analyst|soc|expert|in (developer|debug|maintenance) mode|no longer)\b",
    ),
    (
        Sign::Address,
        &["as an ai", "your ", "system prompt", "new instructions", "developer mode"],
        r"\b(as an ai|your (new |real |actual )?(task|role|instructions|job|system prompt)( is| are)|system prompt|new instructions|developer mode)\b",
    ),
    (
        Sign::Approval,
        APPROVALS,
        r"\b(approved|authori[sz]ed|sanctioned|permitted|whitelisted|allowlisted|signed off) by (the |our |your )?(it|security|soc|admins?|administrators?|change|cab|management|ciso|cio|it security|infosec|blue team|red team|helpdesk|help desk|system administrator|domain admin\w*|operations|corporate)\b",
    ),
    (
        Sign::Approval,
        APPROVALS,
        r"\b(authori[sz]ed|approved|sanctioned|scheduled|planned|legitimate) (internal |external |security |it |vulnerability |maintenance )*(penetration|pen|pentest|red team|purple team|security|vulnerability|phishing) (test|testing|tests|exercise|assessment|scan|scanner|simulation|audit)\b",
    ),
    (
        Sign::Approval,
        &["approved", "authoris", "authoriz"],
        r"\b(authori[sz]ed|approved) (pentest|maintenance|change|security scanner|administrator activity|admin activity|by change|test|scanner)\b",
    ),
    (
        Sign::Approval,
        &["approved", "authoris", "authoriz", "granted", "change board", "by the change"],
        r"\b((change|ticket|request|incident|maintenance) )*(chg|inc|req|ritm|mw)[ ]?\d{3,}( \w+){0,6} (approved|authori[sz]ed|granted|by the change)\b|\bapproved( \w+){0,5} (chg|inc|req|ritm)[ ]?\d{3,}\b",
    ),
    (
        Sign::Approval,
        &[" by ", "known good"],
        r"\b(run|executed|performed|done|started) by (the |our |your )?(domain |system |it |security )*(administrators?|admin|operations|team) (for|as part of|during|under)( \w+){0,4} (audit|maintenance|test|inventory|check|exercise|migration)\b|\bknown good\b( \w+){0,3} (component|file|tool|binary|activity)|\b(signed and verified|verified) ( ?\w+){0,4} component known good\b",
    ),
    // German
    (
        Sign::Override,
        &[
            "ignorier",
            "antworte",
            "fehlalarm",
            "harmlos",
            "unbedenklich",
            "gutartig",
            "genehmigt",
            "freigegeben",
            "autorisiert",
        ],
        r"\bignorier(e|en|t)?( sie)?( bitte)?( alle| die| das| saemtliche| samtliche| sämtliche)*( vorherigen?| bisherigen?| obigen?| fruheren?| früheren?| vorangehenden?)* (anweisung|instruktion|befehl|ereignis|meldung|alarm|regel)\w*|\b(antworte|antworten sie)( immer| nur| bitte)?( mit)? (nein|ja|harmlos)\b|\b(dieser|der|das|dies) (alarm |vorfall |ereignis )?ist (ein )?(fehlalarm|harmlos|unbedenklich|gutartig)\b|\bals (fehlalarm|harmlos|unbedenklich|gutartig) (ein\w*|markier\w*|bewert\w*|werten)\b|\b(genehmigt|freigegeben|autorisiert) (von|durch) (die |der |den )?(it|security|sicherheit\w*|administrat\w*|edv)\b",
    ),
    // French
    (
        Sign::Override,
        &[
            "ignor",
            "faux positif",
            "repond",
            "répond",
            "benin",
            "bénin",
            "inoffensif",
            "approuv",
            "autorise",
            "autorisé",
        ],
        r"\bignor(e|ez|er|ons)( toutes?| tous)?( les| ces| vos| tes)?( \w+)? (instructions?|consignes?|evenements?|événements?|regles|règles|alertes?)\b|\b(ceci|cela|cette alerte|cest|c est) ?(est )?(un )?faux positifs?\b|\brepond(s|ez|re)? (que )?(non|oui)\b|\bréponds? (que )?(non|oui)\b|\b(classe|classez|marque|marquez|considere|considérez)\w*( \w+){0,4} (benin|bénin|inoffensif|faux positif)\w*|\b(approuve|approuvé|autorise|autorisé)e? par (le |la |l)?(service )?(informatique|securite|sécurité|dsi|it|administrat\w*)",
    ),
    // Spanish, Portuguese, Italian
    (
        Sign::Override,
        &[
            "ignor",
            "falso positivo",
            "inofensiv",
            "innocuo",
            "benigno",
            "respond",
            "rispond",
            "aprobado",
            "autorizado",
            "aprovado",
            "approvato",
            "autorizzato",
        ],
        r"\bignor(a|e|en|ar|ad|em|i|ate|are)( todas?| todos?| tutt[eio])?( las| los| as| os| le| gli| i)?( \w+)? (instrucciones|ordenes|órdenes|eventos|alertas|instrucoes|instruções|istruzioni|eventi|avvisi|reglas)\b|\b(es|e|é|è) (un |um )?(falso positivo|inofensivo|benigno|innocuo)\b|\b(responde|responda|responder|responda|rispondi|risponda)( que| con| com| di)? (no|si|sí|nao|não)\b|\b(marca|marque|clasifica|clasifique|classifique|classifica)\w*( \w+){0,4} (benigno|falso positivo|inofensivo|innocuo)\b|\b(aprobado|autorizado|aprovado|approvato|autorizzato) (por|da|dal|pela|pelo) (el |la |o |a |il )?(it|ti|equipo|seguridad|seguranca|segurança|administra\w*|departamento|reparto)",
    ),
    // Russian and Ukrainian
    (
        Sign::Override,
        &[
            "гнор",
            "ложн",
            "хибн",
            "ответь",
            "отвечай",
            "відповідай",
            "одобрен",
            "разрешен",
            "согласован",
            "утвержден",
        ],
        r"(игнорир|ігнору|проигнорир)\w+( \w+){0,3} (инструкц|указан|событи|правил|сообщен|інструкц|вказівк|поді)\w*|ложн\w+ (срабатыван|тревог)\w*|хибн\w+ спрацюван\w*|\b(ответь|ответьте|отвечай|отвечайте|відповідай)( \w+)? (нет|да|ні|так)\b|(одобрен|разрешен|согласован|утвержден)\w*( \w+)? (администратор|службой|отделом|айти|it)\w*",
    ),
    // Chinese and Japanese: no spaces, so no word boundaries.
    (
        Sign::Override,
        &[
            "忽略",
            "忽视",
            "無視",
            "无视",
            "不要理会",
            "标记为",
            "標記為",
            "误报",
            "誤報",
            "良性",
            "正常操作",
            "测试",
            "回答",
            "誤検知",
            "批准",
            "授权",
            "授權",
        ],
        r"(忽略|忽视|無視|无视|不要理会)\S{0,12}(指令|指示|提示|事件|规则|規則|命令|内容)|(指示|命令|イベント)\S{0,4}無視|标记为\S{0,6}(误报|良性|正常|安全)|標記為\S{0,6}(誤報|良性|正常)|(这是|這是|属于|此警报为|此告警为)\S{0,8}(误报|誤報|良性|正常操作|测试)|(请|請)?回答(否|不|是|没有)|誤検知|(经过|已经|已|經過)\S{0,4}(批准|授权|授權)",
    ),
    // Korean, Turkish, Arabic, Polish, Dutch: the order to ignore, and the ready verdict.
    (
        Sign::Override,
        &["무시", "오탐", "önceki", "yanlış", "تجاهل", "gnoruj", "fałszyw", "negeer"],
        r"(지시|명령|이벤트)\S{0,4}\s?무시|오탐|önceki (tüm )?(talimat|komut)\w* (yok say|görmezden)\w*|yanlış (pozitif|alarm)|تجاهل\s?(جميع|كل)?\s?\S{0,12}\s?(التعليمات|الأوامر)|(zignoruj|ignoruj)( wszystkie)?( \w+)? (instrukcj|polece|zdarze)\w*|fałszyw\w+ alarm|\bnegeer( alle)?( \w+)? (instructies|opdrachten|gebeurtenissen)\b",
    ),
];

struct Compiled {
    /// All keys; which patterns each is of.
    keys: Regex,
    of_key: Vec<(&'static str, u64)>,
    each: Vec<(Sign, Regex)>,
}

impl Compiled {
    fn of(patterns: &[Pattern]) -> Option<Self> {
        let mut of_key: Vec<(&'static str, u64)> = Vec::new();
        let mut each = Vec::new();
        for (number, (sign, keys, pattern)) in patterns.iter().enumerate() {
            each.push((*sign, Regex::new(pattern).ok()?));
            for key in *keys {
                match of_key.iter_mut().find(|(known, _)| known == key) {
                    Some((_, bits)) => *bits |= 1 << number,
                    None => of_key.push((key, 1 << number)),
                }
            }
        }
        let escaped: Vec<String> = of_key.iter().map(|(key, _)| regex::escape(key)).collect();
        Some(Self { keys: Regex::new(&escaped.join("|")).ok()?, of_key, each })
    }

    /// The first pattern of the list that matches, and what it matched. Most texts hold no key and are looked
    /// through once.
    fn first(&self, text: &str) -> Option<(Sign, String)> {
        let (mut bits, mut from) = (0_u64, 0);
        while let Some(found) = self.keys.find_at(text, from) {
            // One key may begin within another, or be the beginning of another.
            let rest = &text[found.start()..];
            for (_, of) in self.of_key.iter().filter(|(key, _)| rest.starts_with(key)) {
                bits |= of;
            }
            from = text.ceil_char_boundary(found.start() + 1);
        }
        let tried = self.each.iter().enumerate().filter(|(number, _)| bits >> number & 1 == 1);
        tried.into_iter().find_map(|(_, (sign, regex))| {
            // "whether this alert is a false positive" is a question, and no answer.
            let found = regex.captures_iter(text).find(|found| found.name("unless").is_none())?;
            found.get(0).map(|found| (*sign, found.as_str().trim().to_owned()))
        })
    }
}

static COMPILED_MARKS: LazyLock<Option<Compiled>> = LazyLock::new(|| Compiled::of(&MARKS));
static COMPILED_PHRASES: LazyLock<Option<Compiled>> = LazyLock::new(|| Compiled::of(&PHRASES));

/// Marks in a text as written, given in lower case.
pub(super) fn marks(lower: &str) -> Option<(Sign, String)> {
    COMPILED_MARKS.as_ref()?.first(lower)
}

/// Phrases in words.
pub(super) fn phrases(words: &str) -> Option<(Sign, String)> {
    COMPILED_PHRASES.as_ref()?.first(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        for (_, _, pattern) in MARKS.iter().chain(&PHRASES) {
            if let Err(error) = Regex::new(pattern) {
                panic!("{error}");
            }
        }
        assert!(COMPILED_MARKS.is_some() && COMPILED_PHRASES.is_some());
    }
}
