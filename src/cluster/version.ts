/** Version of what members of a mesh say to each other; a mesh admits nodes of its own version alone. */
export const meshVersion = 1;
