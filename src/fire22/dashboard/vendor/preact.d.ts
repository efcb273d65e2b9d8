// The part of Preact's interface that the page uses.

export interface VNode { type: unknown; props: unknown; key: unknown }
export type Child = VNode | string | number | bigint | boolean | null | undefined | Child[];

export function h(type: unknown, props: object | null, ...children: Child[]): VNode;
export function render(node: Child, parent: Element): void;

export abstract class Component<Props = {}, State = {}> {
  constructor(props?: Props);
  readonly props: Readonly<Props>;
  readonly state: Readonly<State>;
  setState(state: Partial<State>): void;
  shouldComponentUpdate?(props: Readonly<Props>, state: Readonly<State>): boolean;
  abstract render(): Child;
}
