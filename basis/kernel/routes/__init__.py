"""Actions become orders: a strategy says what and how much, the routes say where.

A plan says what the asset of an action means in a run:

- hedge: a spot leg and equal perp shorts spread over venues by weight; amounts in units of the asset. Where the spot
  leg is in the wallet it is ether swapped for USDT, and all that the run holds of the asset on chain counts as long.
- margin: cash held as margin at the venues by weight; amounts in quote units.
- lend: a token of the wallet supplied to a pool; amounts in units of the token.
- lever: a staking token as collateral against a debt in ether, in one transaction. Entries put so much ether of the
  wallet in, exits get so much out, at the target loan to value.
- dust: the reward tokens of the wallet, all sold for ether at the market, one a step.
- long, short: a perp on one side over venues by weight; amounts in units of the asset. The stop and take-profit of an
  entry hold from the fill that opens.
- stake: ether of the wallet changed into a staking token, at its protocol or at the market; amounts in ether.

A route is taken step by step. Each step writes its orders from the state as the last step left it, so that legs are
sized by what has really arrived. Orders of a step belong together: where one is refused, the rest is not sent.
"""
