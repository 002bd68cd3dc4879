# The console. Short sentences: what happened, what it means, what to do.

word-ok = OK
word-again = AGAIN
word-ask = ASK
word-stop = STOP
word-retry = RETRY

says-check-in = WELCOME. Checked in.
says-visit = WELCOME. Visit counted.
says-redemption = Handed out. The points are taken off.
says-void = Taken back. Nothing of it counts.
says-unknown = Recorded by its chip. The hub settles it.

reason-card-blocked = This card is blocked. It cannot be used. Ask the visitor to contact UiTPAS.
reason-invalid-card-status = This card is not in use yet. It must first be registered.
reason-invalid-uitpas-number = This number is not right. Type it again.
reason-pass-not-found = We do not know this card. Let the visitor in as you see fit.
reason-passholder-no-active-cardsystems = This card is not active in any region. It cannot be used now.
reason-maximum-reached = Was here before. Let the visitor in. Nothing more is counted.
reason-checkin-not-allowed = This kind of pass does not check in. Nothing was counted.
reason-social-tariff-expired = This price is no longer valid for this pass. Use the ordinary price.
reason-reward-passholder-points-constraint = Too few points for this reward. Nothing was taken off.
reason-reward-passholder-volume-constraint = This pass has had this reward already. Nothing was taken off.
reason-reward-volume-constraint = None of this reward are left.
reason-reward-period-constraint = This reward cannot be had now.
reason-reward-passholder-no-applicable-cardsystems = This pass cannot have this reward at this desk.
reason-reward-not-found = We do not know this reward. Choose it from the list.
reason-expired = The museumPASS has expired. Sell a ticket.
reason-museum-card-blocked = This museumPASS is blocked. Sell a ticket.
reason-passholder-blocked = The holder of this museumPASS is blocked. Sell a ticket.
reason-maximum-unregistered-visits-reached = This museumPASS must first be registered. Sell a ticket.
reason-no-activity-chosen = No activity is chosen. Press a to choose one, then tap again.
reason-already-taken-back = This was taken back before.
reason-too-late-to-take-back = It is too late to take this back. The hub can still put it right.
reason-nothing-to-take-back = There is nothing to take back.

pass-uitpas = UiTPAS
pass-uitpas-group = UiTPAS for groups
pass-museumpass = museumPASS
pass-unknown = unknown card

points-now = { $points ->
    [one] 1 point
   *[other] { $points } points
}
points-debt = (owes { $debt })
earlier-at = Earlier today at { $time }.
valid-until = valid until { $day }
undo-left = Wrong pass? F2 takes it back ({ $left } left)
clears-in = clears in { $seconds } s
present-card = Hold a card to the reader, or type a number.

title-last = Last pass
title-rewards = To exchange
title-today = Today { $taps } passes · { $ok } OK
rewards-none = Nothing yet.
reward-lacking = { $points } short
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
kind-redemption = reward
kind-void = taken back
kind-not-counted = not counted
kind-unknown = unknown

status-connected = ● Hub connected.
status-offline = ◐ OFFLINE since { $time } - just go on working.
status-refused = ✖ The hub does not take this desk. Tell an operator.
status-pending = { $pending ->
    [one] 1 entry waits.
   *[other] { $pending } entries wait.
}
status-list = Pass list of { $time }
status-list-none = No pass list yet
status-no-daemon = ✖ The desk's daemon does not answer. Nothing is recorded. Start stempel-syncd.
reader-ready = reader ✔
reader-lost = reader ✖ { $why }
reader-none = no reader
disk-fine = disk ✔
disk-trouble = disk ✖
clock-fine = clock ✔
clock-trouble = clock ✖
two-cards = Two cards lie on the reader. Take one away.
read-error = The card could not be read. Hold it still.
no-activity = no activity chosen

key-undo = Undo
key-number = Number
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
