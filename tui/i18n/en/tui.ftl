# The console. Short sentences: what happened, what it means, what to do.

word-ok = OK
word-again = AGAIN
word-ask = ASK
word-stop = STOP
word-retry = RETRY

says-check-in = WELCOME. Checked in.
says-visit = WELCOME. Visit counted.
says-external-visit = WELCOME. Look whether the card is valid.
says-ticket-sale = Sold. F5 shows the amount.
says-redemption = Handed out. The points are taken off.
says-void = Taken back. Nothing of it counts.
says-unknown = Recorded by its chip. The hub settles it.

reason-card-blocked = This card is blocked. It cannot be used. Ask the visitor to contact UiTPAS.
reason-uitpas-holder-blocked = The holder of this UiTPAS is blocked. The card cannot be used. Ask the visitor to contact UiTPAS.
reason-invalid-card-status = This card is not in use yet. It must first be registered.
reason-invalid-uitpas-number = This number is not right. Type it again.
reason-pass-not-found = We do not know this card. Let the visitor in as you see fit.
reason-passholder-no-active-cardsystems = This card is not active in any region. It cannot be used now.
reason-maximum-reached = Was here before. Let the visitor in. Nothing more is counted.
reason-checkin-not-allowed = This pass does not check in here now. Nothing was counted. It is too early or too late, or the pass collects no points, as a group pass.
reason-checkin-code-invalid = This code is of no activity here. Scan it again.
reason-checkin-code-expired = This code is no longer valid. Ask the organiser for a new one.
reason-event-not-found = We do not know this activity here. Choose one from the list.
reason-social-tariff-expired = This price is no longer valid for this pass. Use the ordinary price.
reason-social-tariff-suspended = This price does not count for this pass for now. Use the ordinary price.
reason-social-tariff-not-available = There is no such price here for this pass. Use the ordinary price.
reason-invalid-coupon = This coupon is not of this pass, or not for this activity.
reason-invalid-number-of-tickets = So many tickets cannot be had at this price. Sell fewer, or use the ordinary price.
reason-reward-passholder-points-constraint = Too few points for this reward. Nothing was taken off.
reason-reward-passholder-volume-constraint = This pass has had this reward already. Nothing was taken off.
reason-reward-volume-constraint = None of this reward are left.
reason-reward-no-unit-here = This desk has none of this reward now, and does not know whether any are left. Try again when there is internet.
reason-reward-period-constraint = This reward cannot be had now.
reason-reward-passholder-no-applicable-cardsystems = This pass cannot have this reward at this desk.
reason-reward-online-only = This reward is online only. The visitor redeems it on the website.
reason-reward-other-organizer = This reward is redeemed at another organiser.
reason-reward-not-found = We do not know this reward. Choose it from the list.
reason-expired = The museumPASS has expired. Sell a ticket.
reason-museum-card-blocked = This museumPASS is blocked. Sell a ticket.
reason-passholder-blocked = The holder of this museumPASS is blocked. Sell a ticket.
reason-maximum-unregistered-visits-reached = This museumPASS must first be registered. Sell a ticket.
reason-account-too-old = The points have not been checked for too long. Redeem later, with internet.
reason-offline-points-constraint = So many points are not redeemed without internet. Choose something smaller, or redeem later.
reason-unknown-cards-used-up = No more unknown cards are recorded today. Let the visitor in as you see fit.
reason-card-proof-required = This needs the card itself: it must prove that it is genuine. Hold it on the reader until the answer is there.
reason-card-not-genuine = This card is a copy, or was tampered with. Nothing was counted. Ask for an identity card.
reason-external-card-not-accepted = This card is not valid here. Sell a ticket.
reason-no-activity-chosen = No activity is chosen. Press a to choose one, then tap again.
reason-already-taken-back = This was taken back before.
reason-too-late-to-take-back = It is too late to take this back. The hub can still put it right.
reason-nothing-to-take-back = There is nothing to take back. The last scan was not counted.

pass-uitpas = UiTPAS
pass-uitpas-group = UiTPAS for groups
pass-museumpass = museumPASS
pass-external = other pass
pass-unknown = unknown card

card-proved = Genuine card ✔
card-signed = Card with the issuer's signature ✔
card-refuted = This card is not genuine.
points-now = { $points ->
    [one] 1 point
   *[other] { $points } points
}
points-debt = (owes { $debt })
earlier-at = Earlier today at { $time }.
valid-until = valid until { $day }
undo-left = Wrong pass? F2 takes it back ({ $left } left)
clears-in = clears in { $seconds } s
to-pay-hint = To pay: F5 shows the amount for 3 s.
to-pay = To pay: { $amount }
to-pay-group = To pay for the group: { $amount }
to-pay-none = No price is known here.
euros = { $euros }.{ $cents } euro
compare-picture = Compare the picture with the visitor.
no-picture = No picture. Ask for an identity card.
group-open = GROUP: { $taps ->
    [one] 1 pass
   *[other] { $taps } passes
} · { $ok } OK · { $points ->
    [one] 1 point
   *[other] { $points } points
} · F4 closes
group-closed = Group of { $taps ->
    [one] 1 pass
   *[other] { $taps } passes
}: { $ok } OK, { $points ->
    [one] 1 point
   *[other] { $points } points
}.
policy-unknown-card = Rule: unknown card { $taken } of { $most } today.
policy-unknown-card-any = Rule: unknown cards are recorded.
policy-account-age = Rule: points { $hours } hours old, at most { $points } to redeem.
policy-account-age-any = Rule: points { $hours } hours old, all may be redeemed.
policy-account-never = Rule: points never checked, at most { $points } to redeem.
requests-waiting = { $count ->
    [one] 1 request waits.
   *[other] { $count } requests wait.
}
present-card = Hold a card to the reader, or type a number.

title-last = Last pass
title-picture = Picture ({ $seconds } s left)
title-rewards = To exchange
title-today = Today { $taps } passes · { $ok } OK
rewards-none = Nothing yet.
reward-lacking = { $points } short
reward-none-left = none left
reward-later = with internet
reward-needs-proof = needs a genuine card
reward-free = free

hub-waiting = ↑ waits
hub-accepted = ✓ hub
hub-quarantined = ✖ set apart
hub-not-sent = –
outcome-over-limit = counted elsewhere
outcome-taken-back = taken back
outcome-left-debt = leaves a debt

kind-check-in = checked in
kind-visit = visit
kind-external-visit = visit
kind-ticket-sale = ticket
kind-redemption = reward
kind-void = taken back
kind-not-counted = not counted
kind-unknown = unknown

status-connected = ● Hub connected.
status-offline = ◐ OFFLINE since { $time } - just go on working.
status-hub-cannot-store = ◐ The hub cannot store now: everything waits here. Just go on working.
status-offline-only = ◐ OFFLINE since { $time }.
status-refused = ✖ The hub does not take this desk. Tell an operator.
status-pending = { $pending ->
    [one] 1 entry waits.
   *[other] { $pending } entries wait.
}
status-list = Pass list of { $time }
status-list-none = No pass list yet
status-no-daemon = ✖ The desk's daemon does not answer. Nothing is recorded. Tell an operator (who starts stempel-syncd).
reader-ready = reader ✔
reader-lost = reader ✖ { $why }
reader-none = no reader
reader-starting = looking for the reader
no-reader-found = No reader was found. Plug one in.
no-reader-unplugged = Unplugged: { $reader }. Plug it in again.
no-reader-opened = { $reader } does not start. Unplug it and plug it in again. If that does not help, tell an operator.
no-reader-silent = It does not answer. Unplug it and plug it in again.
no-reader-named = There is no reader { $wanted }. Plug it in.
no-reader-named-but = There is no reader { $wanted }. Plug it in, or have an operator choose one of: { $others }.
no-reader-service = The card service does not run. Tell an operator: start pcscd.
no-reader-access = This user may not use the card service. Tell an operator: polkit, org.debian.pcsc-lite.
no-reader-system = Readers cannot be used ({ $detail }). Restart this computer.
disk-fine = disk ✔
disk-trouble = disk ✖
clock-fine = clock ✔
clock-trouble = clock ✖
two-cards = Two cards lie on the reader. Take one away.
read-error = The card could not be read. Hold it still.
code-scanned = Activity scanned. Now hold the pass to the reader.
random-uid = This card gives another number each time, as phones do. Ask for the pass itself, or type its number.
no-activity = no activity chosen

trouble-disk-full = The disk is full. A scan that still fits is recorded; if one does not, the desk says so. Remove files that nobody needs.
trouble-disk-quota = This user's share of the disk is used up. A scan that still fits is recorded. Remove files, or tell an operator.
trouble-disk-read-only = The disk can only be read. Nothing can be recorded. Restart this computer, and tell an operator: the disk may be failing.
trouble-disk-fails = The disk does not take what is written. Nothing can be recorded. Tell an operator.
trouble-ledger-lacking = Entries that the hub has are missing on this disk. They come back when the hub is reached. Just go on, and tell an operator.
trouble-ledger-end-cut = The desk stopped while it was writing. The last tap before that may be missing: scan that pass again. What was counted is not counted twice.
trouble-ledger-mended = { $entries ->
    [one] One entry on the disk was damaged and is right again. Nothing is lost, but the disk may be failing. Tell an operator.
   *[other] { $entries } entries on the disk were damaged and are right again. Nothing is lost, but the disk may be failing. Tell an operator.
}
trouble-ledger-damaged = { $lost ->
    [one] 1 entry
   *[other] { $lost } entries
} cannot be read; { $saved ->
    [one] 1 after it was
   *[other] { $saved } after it were
} saved. Just go on, and tell an operator.
trouble-ledger-written-again = Somebody removed files of this desk while it ran. It wrote them again ({ $entries }); nothing is lost. Just go on, and tell an operator.
trouble-name-used-twice = Another desk wrote under this desk's name. Tell an operator.
trouble-folder-older = This desk runs from an older copy: { $units ->
    [one] 1 reward was
   *[other] { $units } rewards were
} handed out that it does not know of. They are not handed out again. Tell an operator.
trouble-units-limited = This computer does not know what the desk has handed out. Until there is internet { $units ->
    [one] 1 more limited reward is
   *[other] { $units } more limited rewards are
} handed out.
trouble-hub-restored = The hub was restored from an older copy. { $entries ->
    [one] 1 entry was
   *[other] { $entries } entries were
} sent again. Nothing is lost, go on working.
trouble-part-restarted = A part of the program failed and was started again. Go on working. Tell an operator.
trouble-part-fails = A part of the program keeps failing. What you record is kept here. Tell an operator.
trouble-socket-gone = A second screen of this desk cannot start. This one goes on working. Tell an operator.
trouble-pass-list-damaged = The pass list was damaged: { $passes } of { $of } passes are here, the rest is fetched. Until then cards may be unknown.
trouble-pass-list-of-earlier-version = The program was updated and fetches the pass list again. Until then the old list is used.
trouble-pass-list-lacking = This desk has no pass list: cards are unknown. The list comes by itself when there is internet.
trouble-pass-list-closed = The pass list does not open now; cards are unknown. The desk tries again by itself.
span-minutes = { $count } minutes
span-hours = { $count } hours
span-days = { $count } days
span-years = { $count } years
trouble-clock-ahead = This computer's clock is { $span } ahead. This desk goes by the hub's clock for now: just go on, and set the clock right.
trouble-clock-behind = This computer's clock is { $span } behind. This desk goes by the hub's clock for now: just go on, and set the clock right.
trouble-clock-in-the-past = This computer's clock is in the past. The desk counts on from the last time that it knows until there is internet. Set date and time right.
trouble-clock-in-the-future = This computer's clock is more than a year ahead. The desk counts on from the last time that it knows until there is internet. Set date and time right.
trouble-clock-put-forward = This computer's clock was put forward by { $span }. The desk goes by it until there is internet. See whether date and time are right.
trouble-clock-put-back = This computer's clock was put back by { $span }. The desk goes by it until there is internet. See whether date and time are right.
trouble-hub-clock-ahead = The hub's clock is { $span } ahead. This desk goes by its own clock: just go on, and tell an operator.
trouble-hub-clock-behind = The hub's clock is { $span } behind. This desk goes by its own clock: just go on, and tell an operator.

failed-broke-off = The desk's daemon broke off ({ $detail }). Look at the last taps before you tap again.
failed-disk-full = The disk is full. Nothing was recorded. Make room, then tap again.
failed-disk-quota = This user's share of the disk is used up. Nothing was recorded. Make room, then tap again.
failed-disk-read-only = The disk can only be read. Nothing was recorded. Restart this computer, and tell an operator.
failed-disk = The disk does not take what is written. Nothing was recorded. Tell an operator.
failed-store = The pass list cannot be read. Nothing was recorded. Tell an operator.
failed-entry-not-found = This is not in the list any more. Nothing was taken back.
failed-check-not-found = The card lay there too long ago. Hold it to the reader again.
failed-console = A part of this screen failed. What was confirmed is recorded. Did the last pass get no answer? Show it again.
failed-no-sounds = There are no sounds ({ $detail }). Plug a loudspeaker in and restart, or switch sounds off in feedback.toml.
failed-otherwise = That did not work: { $detail }. Tell an operator.

key-undo = Undo
key-number = Number
key-group = Group
key-amount = Amount
key-wipe = Clear
key-language = Language
key-help = Help
key-activity = Activity
key-redeem = Reward
key-quit = Quit

dialog-number = Number
dialog-activities = Choose the activity
dialog-rewards = Choose the reward
dialog-help = Help
dialog-hint = ↑ ↓ Enter · Esc closes
help-1 = Hold a card to the reader, or type its number and Enter. From any screen.
help-2 = OK: counted. AGAIN: was here, let in. ASK: decide yourself.
help-3 = STOP: not valid here. RETRY: hold the card to the reader again.
help-4 = Without internet you just go on: everything is kept and sent later.
tap-first = Tap a pass first.
plain-help = Hold a card to the reader, or type its number and Enter. u takes the last one back, c and a code chooses the activity for the next pass, ? says this again, q ends.

# Scanners. Each says what happened and what to do.
not-read-layout = Not read: the scanner is set to another keyboard than this computer. Type the number. Operator: stempel doctor scanner.
not-read-prefix = Not read: the scanner sends characters before or after the number. Type the number. Operator: stempel doctor scanner.
not-read-digits-missing = Not read: digits are missing. Scan again, or type the number.
not-read-too-many-digits = Not read: there are too many digits. Scan again, or type the number.
not-read-misread = This number is not right. Scan again, or type the number.
not-read-two-numbers = Not read: two codes came as one. Nothing was recorded. Scan them one at a time.
not-read-control-characters = Not read: there are control characters in the code. Type the number. Operator: stempel doctor scanner.
not-read-case-changed = Not read: the scanner or Caps Lock changes capitals, and more than one activity fits. Switch Caps Lock off and scan again.
not-read-unknown-code = Not read: this is no number of a pass and no code of this desk. Scan the pass.
not-read-codes-not-known = Not read: the desk does not know its codes yet. Wait a moment and scan again.
not-read-no-enter = Not read: the scanner sends no Enter. Nothing was recorded. Type the number or the code, and Enter. Operator: stempel doctor scanner.
one-at-a-time = Keys came too fast after each other. Nothing was done. Press them one at a time.
put-right-framing = control characters or blanks around it taken off
put-right-aim-prefix = prefix ]… taken off
put-right-layout = moved from another keyboard
put-right-leading-zero = the leading zero put back
put-right-case = capitals put right
advice-nothing = There is nothing to set.
advice-send-enter = Let the scanner send Enter after each code (suffix Enter, CR). Without it the desk does not know where a code ends.
advice-keyboard-layout = { $layout ->
    [qwerty] Set the scanner to the same keyboard as this computer (QWERTY).
    [belgian] Set the scanner to the same keyboard as this computer (Belgian AZERTY).
    [french] Set the scanner to the same keyboard as this computer (French AZERTY).
    [german] Set the scanner to the same keyboard as this computer (QWERTZ).
   *[unknown] Set the scanner to the same keyboard as this computer.
}
advice-no-prefix = Switch prefixes off: AIM ID, code ID, prefix, suffix. After the code comes Enter alone.
advice-no-control-characters = Switch STX, ETX and other control characters off. After the code comes Enter alone.
advice-all-digits = Let the scanner send all digits: switch the shortening of UPC and EAN off, and keep the leading zero.
advice-keep-case = Let the scanner send letters as they are, and switch Caps Lock off.
advice-faster = Set the time between two characters to zero. Above { $most } ms the desk does not read it.
advice-other-code = This code is of no activity of this desk. Ask an operator which codes it has: stempel activity --json.
advice-scan-again = Scan again, hold the scanner still, or type the number.

dialog-question = Sure?
question-take-back = Take this back? { $time } · { $pass } · { $what }
question-quit = Quit? This screen closes. The desk goes on.
question-hint = Enter or y: yes · Esc or another key: no
question-plain = Type y for yes, anything else for no.

doctor-scanner-begin = Scan a code. What arrives is shown here and kept nowhere. Esc or Ctrl-C ends.
doctor-scanner-no-desk = The desk program does not answer: codes of activities cannot be told.
doctor-scanner-came = Arrived: { $keys } keys: { $text }
doctor-scanner-gaps = Between two keys: { $average } ms (from { $shortest } to { $longest }).
doctor-scanner-pasted = Arrived as pasted text: the terminal pastes.
doctor-scanner-card = Read: the number of a pass.
doctor-scanner-chip = Read: the number of a chip.
doctor-scanner-code = Read: a code of this desk.
doctor-scanner-put-right = Put right: { $what }.
doctor-scanner-keys = Single keys.
