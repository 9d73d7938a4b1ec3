"""The public interface: `import redox_balancer as rb` exports what these modules define."""
