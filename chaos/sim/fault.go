package sim

// injected is what an actor panics with that is made to fail.
const injected = "injected by the world"
