# De console. Korte zinnen: wat er gebeurde, wat het betekent, wat je doet.

word-ok = OK
word-again = EERDER
word-ask = VRAAG
word-stop = STOP
word-retry = OPNIEUW

says-check-in = WELKOM. Ingecheckt.
says-visit = WELKOM. Bezoek geteld.
says-external-visit = WELKOM. Kijk of de kaart geldig is.
says-ticket-sale = Verkocht. F5 toont het bedrag.
says-redemption = Meegegeven. De punten zijn eraf.
says-void = Ongedaan gemaakt. Het telt niet mee.
says-unknown = Genoteerd met de chip. De centrale zoekt het uit.

reason-card-blocked = Deze kaart is geblokkeerd. Ze werkt niet. Laat de bezoeker UiTPAS bellen.
reason-uitpas-holder-blocked = De houder van deze UiTPAS is geblokkeerd. De kaart werkt niet. Laat de bezoeker UiTPAS bellen.
reason-invalid-card-status = Deze kaart is nog niet in gebruik. Registreer ze eerst.
reason-invalid-uitpas-number = Dit nummer klopt niet. Typ het opnieuw.
reason-pass-not-found = We kennen deze kaart niet. Beslis zelf of de bezoeker binnen mag.
reason-passholder-no-active-cardsystems = Deze kaart is in geen enkele regio actief. Ze werkt nu niet.
reason-maximum-reached = Was hier al. Laat de bezoeker binnen. Er wordt niets meer geteld.
reason-checkin-not-allowed = Met deze pas wordt hier nu niet ingecheckt. Er is niets geteld. Het is te vroeg of te laat, of de pas spaart geen punten, zoals een groepspas.
reason-checkin-code-invalid = Deze code is niet van een activiteit hier. Scan ze opnieuw.
reason-checkin-code-expired = Deze code is niet meer geldig. Vraag de organisator om een nieuwe.
reason-event-not-found = We kennen deze activiteit hier niet. Kies er een uit de lijst.
reason-social-tariff-expired = Deze prijs geldt niet meer voor deze pas. Reken de gewone prijs.
reason-social-tariff-suspended = Deze prijs geldt nu even niet voor deze pas. Reken de gewone prijs.
reason-social-tariff-not-available = Deze prijs bestaat hier niet voor deze pas. Reken de gewone prijs.
reason-invalid-coupon = Deze bon is niet van deze pas, of niet voor deze activiteit.
reason-invalid-number-of-tickets = Zoveel tickets kan niet voor deze prijs. Verkoop er minder, of reken de gewone prijs.
reason-reward-passholder-points-constraint = Te weinig punten voor dit voordeel. Er is niets af.
reason-reward-passholder-volume-constraint = Deze pas had dit voordeel al. Er is niets af.
reason-reward-volume-constraint = Dit voordeel is op.
reason-reward-no-unit-here = Deze balie heeft dit voordeel nu niet, en weet niet of er nog zijn. Probeer opnieuw als er internet is.
reason-reward-period-constraint = Dit voordeel kan nu niet.
reason-reward-passholder-no-applicable-cardsystems = Deze pas kan dit voordeel hier niet krijgen.
reason-reward-online-only = Dit voordeel is er alleen online. De bezoeker ruilt het op de website.
reason-reward-other-organizer = Dit voordeel ruilt de bezoeker bij een andere organisator.
reason-reward-not-found = We kennen dit voordeel niet. Kies het uit de lijst.
reason-expired = De museumPASS is verlopen. Verkoop een ticket.
reason-museum-card-blocked = Deze museumPASS is geblokkeerd. Verkoop een ticket.
reason-passholder-blocked = De houder van deze museumPASS is geblokkeerd. Verkoop een ticket.
reason-maximum-unregistered-visits-reached = Deze museumPASS moet eerst geregistreerd worden. Verkoop een ticket.
reason-account-too-old = De punten zijn te lang niet nagekeken. Ruil later, met internet.
reason-offline-points-constraint = Zoveel punten ruilen we niet zonder internet. Kies iets kleiners, of ruil later.
reason-unknown-cards-used-up = We noteren vandaag geen onbekende kaarten meer. Beslis zelf of de bezoeker binnen mag.
reason-card-proof-required = Hiervoor is de kaart zelf nodig: die moet bewijzen dat ze echt is. Houd ze op de lezer tot het antwoord er is.
reason-card-not-genuine = Deze kaart is nagemaakt of er is mee geknoeid. Er is niets geteld. Vraag een identiteitskaart.
reason-external-card-not-accepted = Deze kaart geldt hier niet. Verkoop een ticket.
reason-no-activity-chosen = Er is geen activiteit gekozen. Druk a, kies er een, en scan opnieuw.
reason-already-taken-back = Dit was al ongedaan gemaakt.
reason-too-late-to-take-back = Te laat om dit ongedaan te maken. De centrale kan het nog rechtzetten.
reason-nothing-to-take-back = Er is niets om ongedaan te maken. De laatste scan is niet geteld.

pass-uitpas = UiTPAS
pass-uitpas-group = UiTPAS voor groepen
pass-museumpass = museumPASS
pass-external = andere pas
pass-unknown = onbekende kaart

card-proved = Echte kaart ✔
card-signed = Kaart met handtekening van de uitgever ✔
card-refuted = Deze kaart is niet echt.
points-now = { $points ->
    [one] 1 punt
   *[other] { $points } punten
}
points-debt = (tekort { $debt })
earlier-at = Eerder vandaag om { $time }.
valid-until = geldig t/m { $day }
undo-left = Verkeerde pas? F2 maakt dit ongedaan (nog { $left })
clears-in = scherm wist { $seconds } s
to-pay-hint = Te betalen: F5 toont het bedrag 3 tellen.
to-pay = Te betalen: { $amount }
to-pay-group = Te betalen voor de groep: { $amount }
to-pay-none = Hier is geen prijs bekend.
euros = { $euros },{ $cents } euro
compare-picture = Vergelijk de foto met de bezoeker.
no-picture = Geen foto. Vraag een identiteitskaart.
group-open = GROEP: { $taps ->
    [one] 1 pas
   *[other] { $taps } passen
} · { $ok } OK · { $points ->
    [one] 1 punt
   *[other] { $points } punten
} · F4 sluit
group-closed = Groep van { $taps ->
    [one] 1 pas
   *[other] { $taps } passen
}: { $ok } OK, { $points ->
    [one] 1 punt
   *[other] { $points } punten
}.
policy-unknown-card = Regel: onbekende kaart { $taken } van { $most } vandaag.
policy-unknown-card-any = Regel: onbekende kaarten worden genoteerd.
policy-account-age = Regel: punten van { $hours } uur oud, hoogstens { $points } te ruilen.
policy-account-age-any = Regel: punten van { $hours } uur oud, alles te ruilen.
policy-account-never = Regel: punten nooit nagekeken, hoogstens { $points } te ruilen.
requests-waiting = { $count ->
    [one] 1 vraag wacht.
   *[other] { $count } vragen wachten.
}
present-card = Houd een kaart bij de lezer, of typ een nummer.

title-last = Laatste pas
title-picture = Foto (nog { $seconds } s)
title-rewards = Te ruilen
title-today = Vandaag { $taps } passen · { $ok } OK
rewards-none = Nog niets.
reward-lacking = nog { $points }
reward-none-left = op
reward-later = met internet
reward-needs-proof = echte kaart nodig
reward-free = gratis

hub-waiting = ↑ wacht
hub-accepted = ✓ hub
hub-quarantined = ✖ apart
hub-not-sent = –
outcome-over-limit = elders geteld
outcome-taken-back = ongedaan
outcome-left-debt = laat een tekort

kind-check-in = ingecheckt
kind-visit = bezoek
kind-external-visit = bezoek
kind-ticket-sale = ticket
kind-redemption = voordeel
kind-void = ongedaan
kind-not-counted = niet geteld
kind-unknown = onbekend

status-connected = ● Verbonden met de centrale.
status-offline = ◐ OFFLINE sinds { $time } - u kunt gewoon verder werken.
status-hub-cannot-store = ◐ De centrale kan nu niet bewaren: alles wacht hier. Werk gewoon verder.
status-offline-only = ◐ OFFLINE sinds { $time }.
status-refused = ✖ De centrale aanvaardt deze balie niet. Verwittig een beheerder.
status-pending = { $pending ->
    [one] 1 scan wacht.
   *[other] { $pending } scans wachten.
}
status-list = Passenlijst van { $time }
status-list-none = Nog geen passenlijst
status-no-daemon = ✖ Het balieprogramma antwoordt niet. Er wordt niets genoteerd. Verwittig een beheerder (hij start stempel-syncd).
reader-ready = lezer ✔
reader-lost = lezer ✖ { $why }
reader-none = geen lezer
reader-starting = lezer wordt gezocht
no-reader-found = Geen lezer gevonden. Sluit er een aan.
no-reader-unplugged = Losgekoppeld: { $reader }. Sluit weer aan.
no-reader-opened = { $reader } start niet. Koppel de lezer los en sluit hem weer aan. Helpt dat niet, verwittig dan een beheerder.
no-reader-silent = De lezer antwoordt niet. Koppel hem los en sluit hem weer aan.
no-reader-named = Er is geen lezer { $wanted }. Sluit hem aan.
no-reader-named-but = Er is geen lezer { $wanted }. Sluit hem aan, of laat een beheerder een van deze kiezen: { $others }.
no-reader-service = De kaartdienst werkt niet. Verwittig een beheerder: start pcscd.
no-reader-access = Deze gebruiker mag de kaartdienst niet gebruiken. Verwittig een beheerder: polkit, org.debian.pcsc-lite.
no-reader-system = Lezers werken niet ({ $detail }). Start deze computer opnieuw op.
disk-fine = schijf ✔
disk-trouble = schijf ✖
clock-fine = klok ✔
clock-trouble = klok ✖
two-cards = Er liggen twee kaarten op de lezer. Neem er een weg.
read-error = De kaart is niet gelezen. Houd ze stil.
code-scanned = Activiteit gescand. Houd nu de pas bij de lezer.
random-uid = Deze kaart geeft telkens een ander nummer, zoals een telefoon. Vraag de pas zelf, of typ het nummer.
no-activity = geen activiteit gekozen

trouble-disk-full = De schijf is vol. Past een scan er nog bij, dan wordt hij genoteerd; zo niet, dan zegt de balie het. Verwijder bestanden die niemand nodig heeft.
trouble-disk-quota = Het deel van de schijf voor deze gebruiker is vol. Past een scan er nog bij, dan wordt hij genoteerd. Verwijder bestanden of verwittig een beheerder.
trouble-disk-read-only = De schijf kan alleen gelezen worden. Er kan niets genoteerd worden. Start deze computer opnieuw en verwittig een beheerder: de schijf is misschien stuk.
trouble-disk-fails = De schijf neemt niets meer aan. Er kan niets genoteerd worden. Verwittig een beheerder.
trouble-ledger-lacking = Scans die de centrale heeft, ontbreken op deze schijf. Ze komen terug zodra de centrale bereikbaar is. Ga gewoon verder, en verwittig een beheerder.
trouble-ledger-end-cut = De balie viel stil terwijl ze iets opschreef. De laatste pas van daarvoor ontbreekt misschien: scan die pas opnieuw. Wat geteld was, telt geen twee keer.
trouble-ledger-mended = { $entries ->
    [one] Eén scan op de schijf was beschadigd en is hersteld. Er is niets verloren, maar de schijf gaat misschien stuk. Verwittig een beheerder.
   *[other] { $entries } scans op de schijf waren beschadigd en zijn hersteld. Er is niets verloren, maar de schijf gaat misschien stuk. Verwittig een beheerder.
}
trouble-ledger-damaged = { $lost ->
    [one] 1 scan is
   *[other] { $lost } scans zijn
} niet meer leesbaar, { $saved ->
    [one] 1 scan daarna is
   *[other] { $saved } scans daarna zijn
} gered. Ga gewoon verder, en verwittig een beheerder.
trouble-ledger-written-again = Iemand verwijderde bestanden van deze balie terwijl ze werkte. Ze zijn opnieuw geschreven ({ $entries }); er is niets verloren. Ga gewoon verder, en verwittig een beheerder.
trouble-name-used-twice = Een andere balie schreef onder de naam van deze balie. Verwittig een beheerder.
trouble-folder-older = Deze balie werkt met een oudere kopie: { $units ->
    [one] 1 voordeel is
   *[other] { $units } voordelen zijn
} uitgedeeld waarvan ze niets weet. Ze worden niet opnieuw uitgedeeld. Verwittig een beheerder.
trouble-units-limited = Deze computer weet niet wat de balie heeft uitgedeeld. Tot er internet is, { $units ->
    [one] wordt nog 1 beperkt voordeel
   *[other] worden nog { $units } beperkte voordelen
} uitgedeeld.
trouble-hub-restored = De centrale is hersteld uit een oudere kopie. { $entries ->
    [one] 1 scan is
   *[other] { $entries } scans zijn
} opnieuw verstuurd. Er is niets verloren, werk gewoon verder.
trouble-part-restarted = Een deel van het programma viel uit en is opnieuw gestart. Werk gewoon verder. Verwittig een beheerder.
trouble-part-fails = Een deel van het programma valt telkens uit. Wat u noteert, blijft hier bewaard. Verwittig een beheerder.
trouble-socket-gone = Een tweede scherm van deze balie kan niet starten. Dit scherm werkt gewoon verder. Verwittig een beheerder.
trouble-pass-list-damaged = De passenlijst was beschadigd: { $passes } van { $of } passen zijn er, de rest wordt opgehaald. Tot dan zijn kaarten misschien onbekend.
trouble-pass-list-of-earlier-version = Het programma is vernieuwd en haalt de passenlijst opnieuw op. Tot dan wordt de oude lijst gebruikt.
trouble-pass-list-lacking = De balie heeft geen passenlijst: kaarten zijn onbekend. De lijst komt vanzelf als er internet is.
trouble-pass-list-closed = De passenlijst gaat nu niet open; kaarten zijn onbekend. De balie probeert het vanzelf opnieuw.
span-minutes = { $count } minuten
span-hours = { $count } uur
span-days = { $count } dagen
span-years = { $count } jaar
trouble-clock-ahead = De klok van deze computer loopt { $span } voor. Deze balie volgt nu de klok van de centrale: ga gewoon verder, en zet de klok juist.
trouble-clock-behind = De klok van deze computer loopt { $span } achter. Deze balie volgt nu de klok van de centrale: ga gewoon verder, en zet de klok juist.
trouble-clock-in-the-past = De klok van deze computer staat in het verleden. De balie telt verder vanaf de laatste tijd die ze kent, tot er internet is. Zet datum en uur juist.
trouble-clock-in-the-future = De klok van deze computer loopt meer dan een jaar voor. De balie telt verder vanaf de laatste tijd die ze kent, tot er internet is. Zet datum en uur juist.
trouble-clock-put-forward = De klok van deze computer is { $span } vooruit gezet. De balie volgt ze tot er internet is. Kijk of datum en uur juist zijn.
trouble-clock-put-back = De klok van deze computer is { $span } achteruit gezet. De balie volgt ze tot er internet is. Kijk of datum en uur juist zijn.
trouble-hub-clock-ahead = De klok van de centrale loopt { $span } voor. Deze balie volgt haar eigen klok: ga gewoon verder, en verwittig een beheerder.
trouble-hub-clock-behind = De klok van de centrale loopt { $span } achter. Deze balie volgt haar eigen klok: ga gewoon verder, en verwittig een beheerder.

failed-broke-off = Het balieprogramma viel weg ({ $detail }). Kijk naar de laatste passen voor u opnieuw scant.
failed-disk-full = De schijf is vol. Er is niets genoteerd. Maak plaats en scan dan opnieuw.
failed-disk-quota = Het deel van de schijf voor deze gebruiker is vol. Er is niets genoteerd. Maak plaats en scan dan opnieuw.
failed-disk-read-only = De schijf kan alleen gelezen worden. Er is niets genoteerd. Start deze computer opnieuw en verwittig een beheerder.
failed-disk = De schijf neemt niets meer aan. Er is niets genoteerd. Verwittig een beheerder.
failed-store = De passenlijst kan niet gelezen worden. Er is niets genoteerd. Verwittig een beheerder.
failed-entry-not-found = Dit staat niet meer in de lijst. Er is niets ongedaan gemaakt.
failed-check-not-found = De kaart lag te lang geleden op de lezer. Houd ze er nog eens bij.
failed-console = Een deel van dit scherm liep vast. Wat bevestigd is, is bewaard. Kreeg de laatste pas geen antwoord? Toon ze nog eens.
failed-no-sounds = Er is geen geluid ({ $detail }). Sluit een luidspreker aan en start opnieuw, of zet het geluid af in feedback.toml.
failed-otherwise = Dat lukte niet: { $detail }. Verwittig een beheerder.

key-undo = Ongedaan
key-number = Nummer
key-group = Groep
key-amount = Bedrag
key-wipe = Wis
key-language = Taal
key-help = Hulp
key-activity = Activiteit
key-redeem = Voordeel
key-quit = Stop

dialog-number = Nummer
dialog-activities = Kies de activiteit
dialog-rewards = Kies het voordeel
dialog-help = Hulp
dialog-hint = ↑ ↓ Enter · Esc sluit
help-1 = Houd een kaart bij de lezer, of typ het nummer en Enter. Op elk scherm.
help-2 = OK: geteld. EERDER: was hier al, mag binnen. VRAAG: beslis zelf.
help-3 = STOP: hier niet geldig. OPNIEUW: houd de kaart nog eens bij de lezer.
help-4 = Zonder internet werkt u gewoon verder: alles wordt bewaard en later verstuurd.
tap-first = Scan eerst een pas.
plain-help = Houd een kaart bij de lezer, of typ het nummer en Enter. u maakt het laatste ongedaan, c en een code kiest een activiteit voor de volgende pas, ? zegt dit nog eens, q stopt.

# Scanners. Elk zegt wat er gebeurde en wat te doen.
not-read-layout = Niet gelezen: de scanner staat op een ander toetsenbord dan deze computer. Typ het nummer. Beheerder: stempel doctor scanner.
not-read-prefix = Niet gelezen: de scanner stuurt tekens voor of na het nummer. Typ het nummer. Beheerder: stempel doctor scanner.
not-read-digits-missing = Niet gelezen: er ontbreken cijfers. Scan opnieuw, of typ het nummer.
not-read-too-many-digits = Niet gelezen: er zijn cijfers te veel. Scan opnieuw, of typ het nummer.
not-read-misread = Dit nummer klopt niet. Scan opnieuw, of typ het nummer.
not-read-two-numbers = Niet gelezen: er kwamen twee codes aan elkaar. Er is niets genoteerd. Scan ze één voor één.
not-read-control-characters = Niet gelezen: er staan stuurtekens in de code. Typ het nummer. Beheerder: stempel doctor scanner.
not-read-case-changed = Niet gelezen: de scanner of Caps Lock verandert hoofdletters, en er past meer dan één activiteit. Zet Caps Lock af en scan opnieuw.
not-read-unknown-code = Niet gelezen: dit is geen nummer van een pas en geen code van deze balie. Scan de pas.
not-read-codes-not-known = Niet gelezen: de balie kent haar codes nog niet. Wacht even en scan opnieuw.
not-read-no-enter = Niet gelezen: de scanner stuurt geen Enter. Er is niets genoteerd. Typ het nummer of de code, en Enter. Beheerder: stempel doctor scanner.
one-at-a-time = Er kwamen toetsen te snel na elkaar. Er is niets gebeurd. Druk de toetsen één voor één in.
put-right-framing = stuurtekens of spaties errond weggelaten
put-right-aim-prefix = voorvoegsel ]… weggelaten
put-right-layout = van een ander toetsenbord omgezet
put-right-leading-zero = de nul vooraan teruggezet
put-right-case = hoofdletters rechtgezet
advice-nothing = Er is niets in te stellen.
advice-send-enter = Laat de scanner na elke code Enter sturen (suffix Enter, CR). Zonder Enter weet de balie niet waar een code eindigt.
advice-keyboard-layout = { $layout ->
    [qwerty] Zet de scanner op hetzelfde toetsenbord als deze computer (QWERTY).
    [belgian] Zet de scanner op hetzelfde toetsenbord als deze computer (Belgisch AZERTY).
    [french] Zet de scanner op hetzelfde toetsenbord als deze computer (Frans AZERTY).
    [german] Zet de scanner op hetzelfde toetsenbord als deze computer (QWERTZ).
   *[unknown] Zet de scanner op hetzelfde toetsenbord als deze computer.
}
advice-no-prefix = Zet voorvoegsels af: AIM ID, code ID, prefix, suffix. Na de code komt alleen Enter.
advice-no-control-characters = Zet STX, ETX en andere stuurtekens af. Na de code komt alleen Enter.
advice-all-digits = Laat de scanner alle cijfers sturen: zet het inkorten van UPC en EAN af, en laat de nul vooraan staan.
advice-keep-case = Laat de scanner letters sturen zoals ze zijn, en zet Caps Lock af.
advice-faster = Zet de tijd tussen twee tekens op nul. Trager dan { $most } ms leest de balie niet.
advice-other-code = Deze code is van geen activiteit van deze balie. Vraag een beheerder welke codes ze heeft: stempel activity --json.
advice-scan-again = Scan opnieuw, houd de scanner stil, of typ het nummer.

dialog-question = Zeker?
question-take-back = Dit ongedaan maken? { $time } · { $pass } · { $what }
question-quit = Stoppen? Dit scherm sluit. De balie werkt door.
question-hint = Enter of j: ja · Esc of een andere toets: nee
question-plain = Typ j voor ja, iets anders voor nee.

doctor-scanner-begin = Scan een code. Wat aankomt staat hier, en wordt nergens bewaard. Esc of Ctrl-C stopt.
doctor-scanner-no-desk = Het balieprogramma antwoordt niet: codes van activiteiten zijn niet te herkennen.
doctor-scanner-came = Kwam aan: { $keys } toetsen: { $text }
doctor-scanner-gaps = Tussen twee toetsen: { $average } ms (van { $shortest } tot { $longest }).
doctor-scanner-pasted = Kwam aan als geplakte tekst: de terminal plakt.
doctor-scanner-card = Gelezen: het nummer van een pas.
doctor-scanner-chip = Gelezen: het nummer van een chip.
doctor-scanner-code = Gelezen: een code van deze balie.
doctor-scanner-put-right = Rechtgezet: { $what }.
doctor-scanner-keys = Losse toetsen.
