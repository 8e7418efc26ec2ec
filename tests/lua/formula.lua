-- formula: numbers that a script of tests/peers repeats to the bit, so that nothing but a peer's results need be kept.
local formula = {}

-- Integer i -> 0 .. 1 - 2^-24, scattered; as `fraction` in tests/peers/make_steps.py and make_optim.py.
function formula.fraction(i)
  local x = i * 0x9E3779B97F4A7C15
  x = x ~ (x >> 32)
  x = x * 0xD1342543DE82EF95
  return (x >> 40) / 2 ^ 24
end

return formula
