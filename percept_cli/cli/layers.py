"""`percept layers`."""

from __future__ import annotations

from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS, relative_cost


def layers() -> None:
    """List VGG19's layers: what each sees, and what it costs to compute.

    Cost is that of the network up to and with the layer, relative to conv4_1.

    Example: percept layers
    """
    from percept_cli.outputs.console import Console, plain_table

    columns = ("layer", "channels", "stride", "receptive field", "smallest image", "cost")
    table = plain_table(*columns, "default", right=columns)
    for layer in LAYERS.values():
        field = layer.receptive_field
        table.add_row(
            layer.name,
            str(layer.channels),
            str(layer.stride),
            f"{field}x{field}" if field else "whole image",
            f"{layer.stride}x{layer.stride}",
            f"{relative_cost(layer):.3f}",
            "yes" if layer.name in DEFAULT_LAYERS else "",
        )
    Console().print_whole(table)
