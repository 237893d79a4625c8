'é'
A: int = -1; B = [1, 2,
    3]  # a comment, (with) brackets
async def f(*xs, k=1, **ks):
    async with xs[0] as y, (xs[1]):
        await y
    return [z async for z in y if z]
class C(dict):
    '''Doc.'''
    n: int = 3
    @property
    def p(self): return self.n if self.n > 0 else -self.n
def run(a, b=(1, "x"), /, c=None, *, d: int = 0x1F):
    global A
    if (n := len(a)) > 10 and not (b or c): A = n
    elif 1 < n <= 2 < 3: del a[0], a[1:n, ::-1]
    else: a[n] = a.get(n) or b""; a[n] = f"{n!r:>{d}} {a['k'] + 1:.2f}" 'tail' f'{{{n}}}'
    while True:
        match a:
            case [1, -2, *rest] if rest is not None: break
            case {"k": "v"} | C(n=3, p=True): continue
            case str() as s: pass
            case _: return lambda x, y=2: x(y, *a, **b)
    else:
        raise ValueError("no") from None
    try: x = (yield a) or (yield from b); x += "s" * 2 ** -1
    except* (KeyError, TypeError) as e: print(e, a, sep="")
    finally: assert a, "b"
    x = not a in b; x: int = ~n @ 3 // 4 % 5 << 1 ^ 6 | 7 & 8; x = 1_000 if 1.5e3 else 2j
    print(a  # why
          , b)
    for x in range(n): (a)(x, n)
    return {k: v for k, v in a.items() if k != v and k not in (1,)}, {*b, 1}, -n ** 2, (a)[(1):(n)]
