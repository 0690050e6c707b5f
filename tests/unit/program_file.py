"""The program of the documentation, which tests of program files change and read."""

GROCER = """\
program: grocer
name: Grocer Rewards
timezone: America/New_York
currency: USD
points:
  name: points
  rounding: down
  basis: net
  value: {points: 100, amount: "1.00"}
  maturity_days: 0
  hold_minutes: 30
  unknown_member: refuse
  expiry: {months: 12, until: end_of_month}
  clawback: debt
  expiring_notice_days: [30, 7]
stores: [{code: "309", name: Main Street}]
earning_rules:
  - {code: base, points: 1, per: "1.00"}
  - {code: double-produce, multiply: "2", when: {category: [PRODUCE]}}
  - {code: spring-50, bonus: 50, when: {order_amount_min: "30.00"}, from: 2017-03-01}
  - {code: welcome, bonus: 100, trigger: member.enrolled}
tiers:
  qualify_by: spend
  window: {rolling_months: 12}
  levels:
    - {code: bronze, from: "0"}
    - {code: silver, from: "250.00", earn_multiplier: "1.25"}
    - {code: gold, from: "1000.00", earn_multiplier: "1.50"}
  downgrade: one_level
  grace_days: 30
rewards:
  - {code: five-off, name: "$5 off", cost: 500, gives: {amount_off: "5.00"}}
  - code: mug
    name: Mug
    cost: 900
    gives: {product: "sku-mug"}
    stock: 200
    per_member: {times: 2, per: year}
    tiers: [silver, gold]
"""
