merge into guests g using imports i on true when matched then delete;
