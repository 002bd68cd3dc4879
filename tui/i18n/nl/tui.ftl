# De console. Korte zinnen: wat er gebeurde, wat het betekent, wat je doet.

word-ok = OK
word-again = EERDER
word-ask = VRAAG
word-stop = STOP
word-retry = OPNIEUW

says-check-in = WELKOM. Ingecheckt.
says-visit = WELKOM. Bezoek geteld.
says-redemption = Meegegeven. De punten zijn eraf.
says-void = Ongedaan gemaakt. Het telt niet mee.
says-unknown = Genoteerd met de chip. De centrale zoekt het uit.

reason-card-blocked = Deze kaart is geblokkeerd. Ze werkt niet. Laat de bezoeker UiTPAS bellen.
reason-invalid-card-status = Deze kaart is nog niet in gebruik. Registreer ze eerst.
reason-invalid-uitpas-number = Dit nummer klopt niet. Typ het opnieuw.
reason-pass-not-found = We kennen deze kaart niet. Beslis zelf of de bezoeker binnen mag.
reason-passholder-no-active-cardsystems = Deze kaart is in geen enkele regio actief. Ze werkt nu niet.
reason-maximum-reached = Was hier al. Laat de bezoeker binnen. Er wordt niets meer geteld.
reason-checkin-not-allowed = Met dit soort pas check je niet in. Er is niets geteld.
reason-social-tariff-expired = Deze prijs geldt niet meer voor deze pas. Reken de gewone prijs.
reason-reward-passholder-points-constraint = Te weinig punten voor dit voordeel. Er is niets af.
reason-reward-passholder-volume-constraint = Deze pas had dit voordeel al. Er is niets af.
reason-reward-volume-constraint = Dit voordeel is op.
reason-reward-period-constraint = Dit voordeel kan nu niet.
reason-reward-passholder-no-applicable-cardsystems = Deze pas kan dit voordeel hier niet krijgen.
reason-reward-not-found = We kennen dit voordeel niet. Kies het uit de lijst.
reason-expired = De museumPASS is verlopen. Verkoop een ticket.
reason-museum-card-blocked = Deze museumPASS is geblokkeerd. Verkoop een ticket.
reason-passholder-blocked = De houder van deze museumPASS is geblokkeerd. Verkoop een ticket.
reason-maximum-unregistered-visits-reached = Deze museumPASS moet eerst geregistreerd worden. Verkoop een ticket.
reason-no-activity-chosen = Er is geen activiteit gekozen. Druk a, kies er een, en scan opnieuw.
reason-already-taken-back = Dit was al ongedaan gemaakt.
reason-too-late-to-take-back = Te laat om dit ongedaan te maken. De centrale kan het nog rechtzetten.
reason-nothing-to-take-back = Er is niets om ongedaan te maken.

pass-uitpas = UiTPAS
pass-uitpas-group = UiTPAS voor groepen
pass-museumpass = museumPASS
pass-unknown = onbekende kaart

points-now = { $points ->
    [one] 1 punt
   *[other] { $points } punten
}
points-debt = (tekort { $debt })
earlier-at = Eerder vandaag om { $time }.
valid-until = geldig t/m { $day }
undo-left = Verkeerde pas? F2 maakt dit ongedaan (nog { $left })
clears-in = scherm wist { $seconds } s
present-card = Houd een kaart bij de lezer, of typ een nummer.

title-last = Laatste pas
title-rewards = Te ruilen
title-today = Vandaag { $taps } passen · { $ok } OK
rewards-none = Nog niets.
reward-lacking = nog { $points }
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
kind-redemption = voordeel
kind-void = ongedaan
kind-not-counted = niet geteld
kind-unknown = onbekend

status-connected = ● Verbonden met de centrale.
status-offline = ◐ OFFLINE sinds { $time } - u kunt gewoon verder werken.
status-refused = ✖ De centrale aanvaardt deze balie niet. Verwittig een beheerder.
status-pending = { $pending ->
    [one] 1 scan wacht.
   *[other] { $pending } scans wachten.
}
status-list = Passenlijst van { $time }
status-list-none = Nog geen passenlijst
status-no-daemon = ✖ Het balieprogramma antwoordt niet. Er wordt niets genoteerd. Start stempel-syncd.
reader-ready = lezer ✔
reader-lost = lezer ✖ { $why }
reader-none = geen lezer
disk-fine = schijf ✔
disk-trouble = schijf ✖
clock-fine = klok ✔
clock-trouble = klok ✖
two-cards = Er liggen twee kaarten op de lezer. Neem er een weg.
read-error = De kaart is niet gelezen. Houd ze stil.
no-activity = geen activiteit gekozen

key-undo = Ongedaan
key-number = Nummer
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
