// A bound that can be moved: a slider and a number with one label, both native, so keyboards and readers know them.
export default {
  template: `
    <div class="bound" :data-bound="name">
      <label :for="name">{{ label }}</label>
      <input type="range" :id="name" min="0" :max="most" :step="most / 200" :value="shown" @input="move" />
      <input type="number" :aria-label="label + ', exact'" min="0" :max="most" step="any" :value="shown" @change="move" />
    </div>`,
  props: { name: String, label: String, most: Number, value: Number },
  data() {
    return { shown: this.value };
  },
  watch: {
    value(value) {
      this.shown = value;
    },
  },
  methods: {
    move(event) {
      const text = event.target.value;
      if (text !== "") this.shown = Number(text);
      this.$emit("move", text === "" ? null : Number(text));
    },
  },
};
